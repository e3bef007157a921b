#!/usr/bin/env python3
"""Schemas and documents with the verdict of an independent validator: tests/golden/constraint/*.txt.

    golden_constraint.py SUITE OUT

SUITE is the folder json/tests of the source package of jsonschema (JSON-Schema-Test-Suite, MIT licence); OUT is
tests/golden/constraint. Made with jsonschema 4.23.0, rfc3339-validator 0.1.4, rfc3986-validator 0.1.1, fqdn 1.6.0,
idna 3.20, isoduration 20.11.0, jsonpointer 3.12.

One line each: "S schema", then "V document" (valid) or "I document" (invalid), as JSON. Valid is what is so whether formats
are looked at or not: under oneOf a format that nobody looks at makes documents invalid.
"""
import json
import pathlib
import sys

import jsonschema

DRAFTS = {
    "draft2020-12": jsonschema.Draft202012Validator,
    "draft2019-09": jsonschema.Draft201909Validator,
    "draft7": jsonschema.Draft7Validator,
    "draft6": jsonschema.Draft6Validator,
    "draft4": jsonschema.Draft4Validator,
}
# Files about keywords that are refused in every schema, or about what lies outside the schema.
LEFT_OUT = {"refRemote", "vocabulary", "dynamicRef", "recursiveRef", "content", "id", "unevaluatedItems",
            "infinite-loop-detection", "contains", "minContains", "maxContains", "dependentSchemas",
            "dependentRequired", "dependencies", "if-then-else", "defs", "definitions"}


def one_line(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def has_lone_surrogate(text):
    return any(0xD800 <= ord(c) < 0xE000 for c in text)


def verdict(validators, document):
    try:
        return "V" if all(validator.is_valid(document) for validator in validators) else "I"
    except ValueError:  # a checker of formats that does not expect ""
        return "I"


class Golden:
    def __init__(self):
        self.lines = []
        self.seen = {}

    def add(self, schema, documents, draft):
        text = one_line(schema)
        if has_lone_surrogate(text):
            return
        validators = [draft(schema, format_checker=draft.FORMAT_CHECKER), draft(schema)]
        if text not in self.seen:
            self.seen[text] = {}
        for document in documents:
            written = one_line(document)
            if has_lone_surrogate(written):
                continue
            known = self.seen[text].setdefault(written, verdict(validators, document))
            if known != verdict(validators, document):  # drafts do not agree
                self.seen[text][written] = None

    def write(self, path):
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            for schema, documents in self.seen.items():
                out.write(f"S {schema}\n")
                for document, known in documents.items():
                    if known:
                        out.write(f"{known} {document}\n")


def suite(root, golden):
    for draft, validator in DRAFTS.items():
        files = sorted((root / draft).glob("*.json")) + sorted((root / draft / "optional").glob("*.json"))
        files += sorted((root / draft / "optional" / "format").glob("*.json"))
        for path in files:
            if path.stem in LEFT_OUT:
                continue
            for group in json.loads(path.read_text(encoding="utf-8")):
                schema = group["schema"]
                if "http://localhost" in json.dumps(schema):
                    continue
                if isinstance(schema, dict):
                    schema = {k: v for k, v in schema.items() if k != "$schema"}
                try:
                    golden.add(schema, [test["data"] for test in group["tests"]], validator)
                except Exception as error:  # what this validator itself cannot read
                    print(f"{draft}/{path.stem}: {group['description']}: {error}", file=sys.stderr)


# ---- Own schemas: as they are asked for, with documents near the edge -------------------------------------------------

def integers(low, high):
    edge = [low - 1, low, low + 1, high - 1, high, high + 1, 0, 1, -1, 9, 10, 99, 100, -9, -10]
    return [{"type": "integer", "minimum": low, "maximum": high}, edge]


def decimals(keywords, documents):
    return [{"type": "number", **keywords}, documents]


def own():
    for low, high in [(0, 9), (0, 10), (1, 100), (-5, 5), (-120, -7), (13, 4021), (999, 1000), (-1, 1), (0, 0),
                      (10**17, 10**18 - 1), (-(2**31), 2**31 - 1), (7, 7), (95, 105), (109, 1091)]:
        yield integers(low, high)
    numbers = [0, 0.1, 0.5, 1, 1.5, -0.5, -1, 2, 2.5, 3, 9.99, 10, 10.01, 99.5, 0.25, 0.2499, 0.2501, -3.75, 1e3, 0.001]
    yield decimals({"minimum": 0, "maximum": 1}, numbers)
    yield decimals({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, numbers)
    yield decimals({"minimum": 0.25, "maximum": 9.99}, numbers)
    yield decimals({"exclusiveMinimum": 0.25, "maximum": 10}, numbers)
    yield decimals({"minimum": -3.75, "exclusiveMaximum": -0.5}, numbers)
    yield decimals({"maximum": -0.5}, numbers)
    yield decimals({"minimum": 2.5}, numbers)
    yield decimals({"minimum": 2.5, "maximum": 2.5}, numbers)
    yield decimals({"multipleOf": 3}, [0, 3, 4, 6, 9, 12, 13, -3, -4, 300, 301])
    yield [{"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 50}, list(range(-14, 60))]
    strings = ["", "a", "ab", "abc", "abcd", "A", "1", "12", "é", "日本語", "a b", "\n", "\\", '"', "a\"b", "😀", "😀😀",
               "\u007f", "\u00a0", "x-1", "foo.bar", "0x1F", "ABC-123", "abc-123", "2024-01-01", "a@b.c", " ", "  "]
    for keywords in [{"minLength": 1}, {"maxLength": 2}, {"minLength": 2, "maxLength": 3}, {"maxLength": 0},
                     {"pattern": "^[a-z]+$"}, {"pattern": "b"}, {"pattern": "^a"}, {"pattern": "c$"},
                     {"pattern": "^(a|b)*$"}, {"pattern": "^\\d{2,4}$"}, {"pattern": "^[A-Z]{3}-[0-9]{3}$"},
                     {"pattern": "^.{2}$"}, {"pattern": "^[^a-z]*$"}, {"pattern": "\\s"}, {"pattern": "^\\S+$"},
                     {"pattern": "^\\w+$"}, {"pattern": "\\W"}, {"pattern": "^\\D*$"}, {"pattern": "^$"}, {"pattern": ""},
                     {"pattern": "^\\u00e9$"}, {"pattern": "[\"\\\\]"}, {"pattern": "^[\\s\\S]{1,2}$"},
                     {"pattern": "^a?b?c?$"}, {"pattern": "^(?:foo|bar)(\\.(foo|bar))*$"}, {"pattern": "^0x[0-9A-F]+$"},
                     {"pattern": "^[a-c]*$", "minLength": 2}, {"pattern": "^[a-c]*$", "maxLength": 1},
                     {"pattern": "^(ab)*$", "minLength": 1, "maxLength": 3}, {"pattern": "^x|c$"},
                     {"pattern": "^[\\w.+-]+@[\\w-]+\\.[\\w.]+$"}, {"pattern": "a|^$"}, {"pattern": "^\\.$|^a"}]:
        yield [{"type": "string", **keywords}, strings]
    yield [{"enum": ["red", "green", 3, None, True, [1, "x"], {"a": 1}]},
           ["red", "green", "blue", 3, 3.5, None, True, False, [1, "x"], [1], {"a": 1}, {"a": 2}, {}, "re", "redd"]]
    yield [{"enum": ["a", "ab", "abc", 12, 5], "type": "string", "minLength": 2}, ["a", "ab", "abc", "abcd", 12, 5]]
    yield [{"enum": [1, 2, 3, 10, 20], "minimum": 2, "multipleOf": 2}, [1, 2, 3, 4, 10, 20, 40]]
    yield [{"const": "a\"b\\c\n/\u0001é"}, ["a\"b\\c\n/\u0001é", "a\"b\\c\n/\u0001e", ""]]
    person = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0},
              "email": {"type": "string", "format": "email"}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2}},
              "required": ["name", "age"], "additionalProperties": False}
    yield [person, [{"name": "x", "age": 1}, {"name": "", "age": 1}, {"name": "x", "age": -1}, {"name": "x"}, {},
                    {"name": "x", "age": 3, "email": "a@example.org"}, {"name": "x", "age": 3, "email": "a"},
                    {"name": "x", "age": 3, "tags": []}, {"name": "x", "age": 3, "tags": ["a", "b"]},
                    {"name": "x", "age": 3, "tags": ["a", "b", "c"]}, {"name": "x", "age": 3, "tags": [1]},
                    {"name": "x", "age": 3, "zip": 1}, {"name": "x", "age": 1.5}, [], "x", None]]
    optional = {"type": "object", "properties": {k: {"type": "integer"} for k in "abcd"}, "additionalProperties": False}
    members = [{k: 1 for i, k in enumerate("abcd") if mask >> i & 1} for mask in range(16)]
    yield [optional, members + [{"a": "x"}, {"e": 1}, {"a": 1, "e": 1}]]
    for bounds in [{"minProperties": 1}, {"minProperties": 2}, {"maxProperties": 2}, {"minProperties": 2, "maxProperties": 3},
                   {"minProperties": 4}, {"maxProperties": 0}, {"required": ["b"], "maxProperties": 2},
                   {"required": ["a", "d"], "minProperties": 3}]:
        yield [{**optional, **bounds}, members]
    more = [{}, {"x": 1}, {"x": "a"}, {"a": 1}, {"a": "s"}, {"a": 1, "x": "y"}, {"a": 1, "x": 2}, {"x_1": 1, "y": "b"},
            {"x_1": "a"}, {"num1": 5}, {"num1": "s"}, {"a": 1, "num1": 5, "z": "q"}, {"x": "1", "y": "2", "z": "3"}]
    yield [{"type": "object", "additionalProperties": {"type": "string"}}, more]
    yield [{"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}, more]
    yield [{"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": True}, more]
    yield [{"type": "object", "patternProperties": {"^num": {"type": "integer"}}, "additionalProperties": {"type": "string"}}, more]
    yield [{"type": "object", "patternProperties": {"^x": {"type": "integer"}, "_1$": {"minimum": 2}}, "additionalProperties": False},
           [{"x": 1}, {"x_1": 1}, {"x_1": 2}, {"y_1": 5}, {"y_1": 1}, {"y": 1}, {"x": "s"}, {}]]
    yield [{"type": "object", "propertyNames": {"pattern": "^[a-z]{2}$"}, "additionalProperties": {"type": "integer"}},
           [{"ab": 1}, {"abc": 1}, {"A": 1}, {}, {"ab": 1, "cd": 2}]]
    yield [{"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}, [{}, {"a": 1}, {"a": 1, "b": 2}]]
    yield [{"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 1}, [{}, {"a": 1}, {"a": 1, "b": 2}]]
    lists = [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], ["a"], ["a", 1], ["a", 1, True], ["a", 1, True, None], [1, "a"], [[]], {}]
    for keywords in [{"items": {"type": "integer"}}, {"items": {"type": "integer"}, "minItems": 1},
                     {"items": {"type": "integer"}, "minItems": 2, "maxItems": 3}, {"maxItems": 0}, {"minItems": 2}, {"maxItems": 1},
                     {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
                     {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
                     {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "boolean"}},
                     {"prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 3},
                     {"items": {"type": ["string", "integer"]}, "maxItems": 2, "uniqueItems": False},
                     {"items": {"type": "integer"}, "maxItems": 1, "uniqueItems": True},
                     {"items": {"anyOf": [{"const": "a"}, {"type": "integer", "maximum": 2}]}, "minItems": 1}, {"items": False}]:
        yield [{"type": "array", **keywords}, lists]
    colours = {"type": "array", "items": {"enum": ["red", "green", "blue", 1, 1.0, True]}, "uniqueItems": True}
    for bounds in [{}, {"minItems": 1}, {"maxItems": 2}, {"minItems": 2, "maxItems": 3}, {"minItems": 5}, {"minItems": 6}]:
        yield [{**colours, **bounds},
               [[], ["red"], ["green"], ["red", "green"], ["red", "red"], ["red", "green", "blue"], ["green", "blue", 1], ["red", 1, 1.0],
                [1, True], ["red", "green", "blue", 1, True], ["blue", "red"], ["red", "green", "red"], ["x"], [1, 1]]]
    anything = [None, True, False, 0, 1, -1, 1.5, "", "a", [], [1], {}, {"a": 1}]
    for schema in [True, {}, {"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]}, {"type": "object"}, {"type": "array"},
                   {"type": "number"}, {"type": "integer"}, {"type": "string"}, {"type": ["integer", "string"]}, {"not": {"type": "object"}},
                   {"not": {"enum": ["a", None]}, "type": ["string", "null", "boolean"]},
                   {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]},
                   {"oneOf": [{"type": "integer"}, {"type": "string"}]}, {"oneOf": [{"type": "integer"}, {"type": "number"}]},
                   {"oneOf": [{"type": "integer", "maximum": 0}, {"type": "integer", "minimum": 1}, {"type": "null"}]},
                   {"allOf": [{"type": ["integer", "string"]}, {"type": ["string", "null"]}]},
                   {"allOf": [{"minimum": 0}, {"maximum": 1}, {"type": "number"}]}]:
        yield [schema, anything]
    shapes = {"oneOf": [{"type": "object", "properties": {"kind": {"const": "circle"}, "r": {"type": "number", "exclusiveMinimum": 0}},
                         "required": ["kind", "r"], "additionalProperties": False},
                        {"type": "object", "properties": {"kind": {"const": "box"}, "w": {"type": "integer"}, "h": {"type": "integer"}},
                         "required": ["kind", "w", "h"], "additionalProperties": False}]}
    yield [shapes, [{"kind": "circle", "r": 1.5}, {"kind": "circle", "r": 0}, {"kind": "box", "w": 1, "h": 2}, {"kind": "box", "r": 1},
                    {"kind": "circle", "w": 1, "h": 1}, {"kind": "line"}, {}]]
    yield [{"oneOf": [{"required": ["a"], "type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
                      {"required": ["b"], "type": "object", "properties": {"b": {"type": "integer"}}, "additionalProperties": False}]},
           [{"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {}]]
    yield [{"oneOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}]}, [{"a": 1}, {"b": 1}, {"a": 1, "b": 1}]]
    # A schema without a type lets values of other types pass, which would not be written for it.
    kinds = [{"type": "object", "properties": {"kind": kind}, "required": ["kind"]} for kind in ({"pattern": "^a"}, {"type": "integer"})]
    for branches in [[{"type": "string"}, {"properties": {"x": {"type": "integer"}}, "required": ["x"]}], [{"enum": ["a", 1]}, {"minLength": 5}],
                     [{"pattern": "^a"}, {"minimum": 2}], kinds, [{"enum": ["a"]}, {"minLength": 5}], [{"pattern": "^a"}, {"pattern": "^b"}],
                     [{"required": [key], "properties": {key: {"type": "integer"}, "x": {"const": key}}} for key in "xy"]]:
        yield [{"oneOf": branches}, ["a", "abc", "bcd", "abcde", 1, 2, {"x": 1}, {"x": "y", "y": 2}, {"kind": "a"}, {"kind": 5}, {}]]
    # Formats are remarks to most validators, and what a pattern matches beyond ASCII is not the same everywhere.
    texts = [[{"format": "date"}, {"format": "date-time"}], [{"const": "auto"}, {"format": "date"}], [{"pattern": "^\\w$"}, {"const": "\u00e9"}],
             [{"pattern": "^.$"}, {"const": "\u0085"}], [{"pattern": "^[^\\W]$"}, {"const": "\u00e9"}], [{"pattern": "^a$"}, {"const": "a\n"}],
             [{"pattern": "^[^\\w]$"}, {"const": "a"}], [{"pattern": "^\\d{2}$"}, {"pattern": "^\\d{3}$"}]]
    for branches in texts:
        yield [{"type": "string", "oneOf": branches}, ["2024-01-01", "2024-01-01T00:00:00Z", "auto", "\u00e9", "\u0085", "a", "a\n", "-", "12", "123"]]
    whole = {"type": "integer", "oneOf": [{"format": "int32"}, {"minimum": 3000000000}]}
    yield [whole, [1, 2999999999, 3000000000]]
    # Nor do all agree which keys match a pattern.
    keys = {"patternProperties": {"^\\w+$": {"type": "string"}}, "additionalProperties": {"type": "integer"}}
    written = [{}, {"a": "s"}, {"a": 5}, {"-": 5}, {"-": "s"}, {"\u00e9": 5}, {"\u00e9": "s"}, {"a\n": 5}, {"\u00e9": True}]
    yield [{"type": "object", **keys}, written]
    yield [{"type": "object", **keys, "properties": {"\u00e9": True}}, written]
    yield [{"oneOf": [{"type": "object", "properties": {"\u00e9": {"type": "string"}}, "required": ["\u00e9"]}, {"type": "object", **keys}]}, written]
    tree = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, "required": ["value"], "additionalProperties": False}}}
    yield [tree, [{"value": 1}, {"value": 1, "children": []}, {"value": 1, "children": [{"value": 2, "children": [{"value": 3}]}]},
                  {"value": 1, "children": [{"value": "x"}]}, {"children": []}, {"value": 1, "children": [3]}]]
    linked = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"],
              "additionalProperties": False}
    yield [linked, [{"next": None}, {"next": {"next": None}}, {"next": {"next": {}}}, {"next": 1}, {}]]
    yield [{"$defs": {"a/b": {"type": "integer"}, "c~d": {"type": "string"}, "e%f": {"type": "null"}, "g": {"$anchor": "here", "type": "boolean"}},
            "type": "object", "properties": {"p": {"$ref": "#/$defs/a~1b"}, "q": {"$ref": "#/$defs/c~0d"}, "r": {"$ref": "#/$defs/e%25f"},
                                             "s": {"$ref": "#here"}}, "additionalProperties": False},
           [{"p": 1}, {"p": "x"}, {"q": "x"}, {"q": 1}, {"r": None}, {"r": 0}, {"s": True}, {"s": 1}, {"p": 1, "q": "", "r": None, "s": False}]]
    yield [{"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                      {"properties": {"b": {"type": "string"}}, "required": ["b"]}, {"properties": {"a": {"minimum": 3}}}]},
           [{"a": 3, "b": ""}, {"a": 2, "b": ""}, {"a": 3}, {"b": "x"}, {"a": 3, "b": 1}]]
    yield [{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            "additionalProperties": False}, [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"a": "x"}]]
    for name, documents in FORMATS.items():
        yield [{"type": "string", "format": name}, documents]


FORMATS = {
    "date": ["2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "2024-04-31", "2024-12-31", "0001-01-01", "0000-01-01", "2024-13-01",
             "2024-1-1", "24-01-01", "2024-02-30", "9999-12-31", "2100-02-29", "2400-02-29", "0004-02-29", ""],
    "date-time": ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00+01:00", "2024-02-29T12:00:00.123456Z", "2024-02-29 12:00:00Z", "2023-02-29T00:00:00Z",
                  "2024-01-01T24:00:00Z", "2024-01-01T23:60:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00-24:00", "x"],
    "time": ["12:00:00Z", "23:59:59+00:00", "24:00:00Z", "12:00:00", "12:60:00Z", "12:00:00.5-08:30", "1:00:00Z"],
    "duration": ["P1D", "PT1H", "P1Y2M3DT4H5M6S", "P1W", "P", "PT", "P1", "1D", "P1Y2D", "PT1S", "P1M2W"],
    "email": ["a@example.org", "a.b+c@x.co", "@example.org", "a@", "a", "a..b@example.org", "\"x y\"@example.org"],
    "hostname": ["example.org", "a", "x-1.example", "-a.org", "a-.org", "a..b", "", "1.2.3.4", "xn--x"],
    "ipv4": ["1.2.3.4", "255.255.255.255", "256.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4.5", ""],
    "ipv6": ["::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1::2::3", "12345::", "g::", ":", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
             "::ffff:1.2.3.4"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000", "123e4567e89b12d3a456426614174000", "x"],
    "uri": ["https://example.org/a/b?c=d#e", "mailto:a@example.org", "http://", "//example.org", "a b", "urn:isbn:123", "http://example.org:80", "x:"],
    "uri-reference": ["/a/b", "//example.org/x", "a", "?q", "a b", "http://example.org", "#f"],
    "json-pointer": ["", "/a", "/a/b~1c", "a", "/~2", "/"],
}


def main():
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    golden = Golden()
    suite(root, golden)
    golden.write(out / "suite.txt")
    golden = Golden()
    for schema, documents in own():
        golden.add(schema, documents, jsonschema.Draft202012Validator)
    golden.write(out / "own.txt")


if __name__ == "__main__":
    main()
