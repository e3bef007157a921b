#!/usr/bin/env python3
"""suite.json: the schemas of JSON-Schema-Test-Suite (draft 2020-12), without its instances.

    make_suite.py jsonschema-4.26.0.tar.gz > suite.json

The source distribution of the Python package jsonschema carries the suite in its folder json/. Left out are schemas that
are no object, refer to other documents or are equal to one before; and, of the optional part, all.
"""
import json
import sys
import tarfile


def refers_elsewhere(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str) and not inner.startswith("#"):
                return True
            if key in ("$id", "$vocabulary") or refers_elsewhere(inner):
                return True
    return isinstance(value, list) and any(map(refers_elsewhere, value))


def main():
    seen, chosen = set(), []
    with tarfile.open(sys.argv[1]) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".json"))
        for name in names:
            folder, _, file = name.rpartition("/")
            if not folder.endswith("/json/tests/draft2020-12"):
                continue
            for group in json.load(archive.extractfile(name)):
                schema = group["schema"]
                if not isinstance(schema, dict) or refers_elsewhere(schema):
                    continue
                schema.pop("$schema", None)
                text = json.dumps(schema, sort_keys=True)
                if text not in seen:
                    seen.add(text)
                    chosen.append({"from": file, "what": group["description"], "schema": schema})
    print("[\n" + ",\n".join(json.dumps(entry) for entry in chosen) + "\n]")


if __name__ == "__main__":
    main()
