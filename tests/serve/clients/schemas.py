"""Schemas of the kinds that people send: a generator, so that a number names a schema."""
import random

WORDS = ["name", "age", "city", "tags", "price", "note", "items", "kind", "parent", "size", "date", "active", "id", "score"]
PATTERNS = [r"^[A-Z]{2,4}-[0-9]{3}$", r"^(red|green|blue)$", r"^[a-z]+(_[a-z]+){0,2}$", r"^\d{5}(-\d{4})?$", r"^v[0-9]+\.[0-9]+$",
            r"^[^\s@]{1,8}@[a-z]{1,8}\.(org|net)$"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "email"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.definitions = {}

    def chance(self, probability):
        return self.random.random() < probability

    def string(self):
        kind = self.random.randrange(5)
        if kind == 0:
            return {"type": "string", "enum": self.random.sample(["low", "medium", "high", "a \"b\"", "caf\u00e9", "\u96ea"], 3)}
        if kind == 1:
            return {"type": "string", "pattern": self.random.choice(PATTERNS)}
        if kind == 2:
            return {"type": "string", "format": self.random.choice(FORMATS)}
        low = self.random.randrange(4)
        return {"type": "string", "minLength": low, "maxLength": low + self.random.randrange(1, 20)}

    def integer(self):
        low = self.random.randrange(-1000, 1000)
        bounds = [{"minimum": low, "maximum": low + self.random.randrange(500)}, {"minimum": 0}, {"maximum": 0},
                  {"exclusiveMinimum": low, "exclusiveMaximum": low + 2 + self.random.randrange(50)},
                  {"minimum": 0, "maximum": 100, "multipleOf": 5}, {}]
        return {"type": "integer", **self.random.choice(bounds)}

    def number(self):
        low = round(self.random.uniform(-10, 10), 2)
        bounds = [{"minimum": low, "maximum": round(low + 1.5, 2)}, {"exclusiveMinimum": 0, "maximum": 1}, {}]
        return {"type": "number", **self.random.choice(bounds)}

    def leaf(self):
        leaves = [self.string, self.string, self.string, self.integer, self.integer, self.number,
                  lambda: {"type": "boolean"}, lambda: {"type": "null"}, lambda: {"type": ["integer", "null"]},
                  lambda: {"const": self.random.choice(["fixed", 7, None, True, {"a": [1]}])},
                  lambda: {"enum": [1, "two", None, [3], {"four": 4}]}]
        return self.random.choice(leaves)()

    def array(self, depth):
        if self.chance(0.2):
            return {"type": "array", "prefixItems": [self.schema(depth - 1), self.schema(depth - 1)], "items": False,
                    "minItems": 2}
        low = self.random.randrange(3)
        return {"type": "array", "items": self.schema(depth - 1), "minItems": low,
                "maxItems": low + self.random.randrange(1, 3)}

    def object(self, depth):
        names = self.random.sample(WORDS, self.random.randrange(1, 5))
        schema = {"type": "object", "properties": {name: self.schema(depth - 1) for name in names},
                  "required": [name for name in names if self.chance(0.7)]}
        kind = self.random.randrange(6)
        if kind == 0:
            schema["additionalProperties"] = {"type": "integer", "minimum": 0, "maximum": 9}
            schema["maxProperties"] = len(names) + 1
        else:
            schema["additionalProperties"] = False
        return schema

    def choice(self, depth):
        if self.chance(0.5):
            return {"anyOf": [self.schema(depth - 1), self.schema(depth - 1)]}
        branches = []
        for kind in ("circle", "square"):
            branch = self.object(depth - 1)
            branch["properties"] = {"kind_of_shape": {"const": kind}, **branch["properties"]}
            branch["required"] = ["kind_of_shape", *branch["required"]]
            branches.append(branch)
        return {"oneOf": branches}

    def both(self, depth):
        """Objects that are joined: closed ones would forbid each other's properties."""
        parts = [self.object(depth - 1), self.object(depth - 1)]
        names = list(parts[0]["properties"])
        for name in names:
            parts[1]["properties"].pop(name, None)
        parts[1]["required"] = [name for name in parts[1]["required"] if name in parts[1]["properties"]]
        for part in parts:
            part.pop("additionalProperties", None)
            part.pop("maxProperties", None)
        properties = [*parts[0]["properties"], *parts[1]["properties"]]
        return {"allOf": parts, "type": "object", "required": properties, "maxProperties": len(properties)}

    def reference(self, depth):
        name = f"part{len(self.definitions)}"
        self.definitions[name] = {}
        self.definitions[name] = self.schema(depth - 1)
        return {"$ref": f"#/$defs/{name}"}

    def schema(self, depth):
        if depth <= 0:
            return self.leaf()
        kinds = [self.object] * 4 + [self.array] * 2 + [self.choice, self.both, self.reference]
        return self.leaf() if self.chance(0.4) else self.random.choice(kinds)(depth)


def recursive(number):
    """Trees and lists that hold themselves."""
    bound = 1 + number % 3
    return [
        {"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer", "minimum": 0, "maximum": 99},
                                                              "children": {"type": "array", "items": {"$ref": "#/$defs/node"},
                                                                           "maxItems": bound}},
                            "required": ["value", "children"], "additionalProperties": False}}, "$ref": "#/$defs/node"},
        {"type": "object", "properties": {"head": {"enum": ["a", "b"]}, "tail": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
         "required": ["head", "tail"], "additionalProperties": False},
        {"$defs": {"term": {"oneOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"$ref": "#/$defs/sum"}]},
                   "sum": {"type": "object", "properties": {"op": {"const": "+"}, "left": {"$ref": "#/$defs/term"},
                                                            "right": {"$ref": "#/$defs/term"}},
                           "required": ["op", "left", "right"], "additionalProperties": False}}, "$ref": "#/$defs/term"},
    ][number % 3]


def make_schema(number):
    if number % 15 == 14:
        return recursive(number)
    generator = Generator(number)
    schema = generator.object(2 + number % 2) if number % 3 else generator.schema(3)
    if generator.definitions:
        schema = {**schema, "$defs": generator.definitions}
    return schema
