#!/usr/bin/env python3
"""Validates what random walks through schemas wrote: test_unit_text_constraint_walk VOCABULARY OUT makes the list.

    check_constraint_walks.py OUT

Versions as in golden_constraint.py.
"""
import json
import sys

import jsonschema

DRAFTS = [jsonschema.Draft202012Validator, jsonschema.Draft201909Validator, jsonschema.Draft7Validator,
          jsonschema.Draft6Validator, jsonschema.Draft4Validator]


def reject_constant(name):
    raise ValueError(f"{name} is no JSON")


def validators(schema):
    for draft in DRAFTS:
        try:
            draft.check_schema(schema)
        except jsonschema.SchemaError:
            continue
        yield draft(schema, format_checker=draft.FORMAT_CHECKER), draft(schema)


def is_valid(schema, document):
    for checking, passing in validators(schema):  # formats are checked, or let pass: it must be valid both ways
        try:
            return checking.is_valid(document) and passing.is_valid(document)
        except Exception:  # a reference that this draft does not know
            continue
    return None


def main():
    count = wrong = unread = 0
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            schema_text, text = line.rstrip("\n").split("\t", 1)
            schema = json.loads(schema_text)
            document = json.loads(text, parse_constant=reject_constant)
            text.encode("utf-8")
            count += 1
            # Older drafts read some keywords differently: what the newest that can read the schema says counts.
            valid = is_valid(schema, document)
            unread += valid is None
            if valid is False:
                wrong += 1
                print(f"INVALID: {schema_text}\n    {text}")
    print(f"{count} documents, {wrong} invalid, {unread} of schemas that the validator cannot read")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
