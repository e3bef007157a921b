#!/usr/bin/env python3
"""Renders templates with Python's jinja2, set up as Hugging Face transformers sets it up, and writes the results that
tests/unit/text_template.c compares with.

    golden_template.py SNIPPETS.json              # golden/template/snippets.json
    golden_template.py CHATS.json TEMPLATES_DIR   # golden/template/chats.json, from *.jinja in that folder

Made with Python 3.11, jinja2 3.1.6, markupsafe 3.0.4.
"""

import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = 1750000000  # what strftime_now sees, UTC


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks the assistant's part for training, prints it unchanged."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(form):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def render(env, source, variables):
    """The output, or None if parsing or rendering fails in any way."""
    try:
        return env.from_string(source).render(**variables)
    except Exception:
        return None


VARIABLES = {
    "s": "Hello, World",
    "u": "Grüße, 世界 🙂!",
    "empty": "",
    "spaces": "  \t padded \n ",
    "lines": "one\ntwo\r\nthree\n\nfive",
    "n": 7,
    "neg": -7,
    "big": 9007199254740993,
    "f": 2.5,
    "t": True,
    "no": False,
    "nothing": None,
    "l": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"],
    "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}],
    "d": {"b": 1, "a": 2, "C": 3},
    "deep": {"x": {"y": [{"z": "found"}]}, "items": "shadow", "q'": 'say "hi"'},
    "people": [
        {"name": "Ann", "age": 31, "active": True, "tags": ["x", "y"]},
        {"name": "bob", "age": 25, "active": False, "tags": []},
        {"name": "Cid", "age": 31, "tags": ["z"]},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "<think>\nwell\n</think>\n\nHello"},
        {"role": "user", "content": "Bye"},
    ],
    "html": "<a href=\"x\">'&'</a>",
}

# Printed as {{ ... }}.
EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
7.5 % -2
1 / 2
4 / 2
1 / 0
1 // 0
1 % 0
1.0 / 0
2 ** 10
2 ** 3 ** 2
2 ** -1
-2 ** 2
2 ** 0.5
(-8) ** 2
0.1 + 0.2
1e3
1e16
1e15
1.5e300 * 1e10
1e-4
1e-5
123456789012.5
0.00001234
3.0
-0.0
1_000
0x1F
0o17
0b101
1e400
big
big + 1
2 ** 62
n / 2
n * f
t + t
-t
+n
- - n
not t
not not t
not empty
1 < 2
1 < 2 < 3
1 < 2 > 3
3 > 2 >= 2 == 2 != 1
1 == 1.0
t == 1
"1" == 1
"a" < "b"
"a" < 1
[1, 2] < [1, 3]
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{"a": 1} == {"a": 1.0}
nothing == none
nothing is none
nothing < 1
1 and 2
0 and 2
0 or "x"
1 or undefined_name
"" or []
t and no or "z"
1 if t else 2
1 if no else 2
1 if no
"a" if n > 5 else "b" if n > 3 else "c"
(1 if no) is defined
"a" ~ 1 ~ none ~ true ~ [1] ~ 2.0
1 ~ 2 + 3
"a" + "b"
"a" + 1
1 + "a"
"a" * 3
3 * "ab"
"a" * -1
[1, 2] * 2
[1] + [2, 3]
(1,) + (2,)
[1] + (2,)
undefined_name
undefined_name + 1
undefined_name.attr
undefined_name["x"]
undefined_name ~ "x"
undefined_name()
undefined_name == undefined_other
undefined_name == none
undefined_name < 1
-undefined_name
undefined_name in [1]
1 in undefined_name
not undefined_name
d.missing
d.missing.more
d["missing"]
d.a
d["a"]
d.get("a")
d.get("zz")
d.get("zz", "dflt")
d.items()
d.keys()
d.values()
d.items() | list
d.keys() | list | join("-")
d | list
d | length
"a" in d
"zz" not in d
deep.x.y[0].z
deep.x.y.0.z
deep["items"]
deep.x["y"][0]["z"]
deep
d.update({"a": 5})
d.pop("a")
d.copy()
l.append(4)
l.append
l.append is defined
l.count(1)
l.index(2)
l.index(9)
l[0]
l[-1]
l[3]
l[-4]
l["x"]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[5:]
l[-2:]
l[2:0:-1]
l[::0]
l[:none]
l["a":]
n[0]
n[0:1]
n.x
s[0]
s[-1]
s[99]
s[1:4]
s[:5]
s[-5:]
s[::-1]
s[::2]
s[8:2:-2]
u[0]
u[2]
u[7:9]
u[-2]
u[::-1]
u | length
u[7:]
(1, 2, 3)[1]
(1, 2, 3)[1:]
()
(1,)
(1, 2)
[]
{}
{1: "a", "b": 2, none: 3, 2.5: 4, true: 5}
{(1, 2): 3}
{[1]: 2}
mixed
mixed | string
[[], {}, ()]
["it's"]
['say "x"', "it's \"both\""]
["tab\t", "nl\n", "\x01", "é", "\u200b"]
"\x41\u00e9\U0001F642\101\n\t\\\q"
'a' 'b' "c"
"unterminated
s.upper()
s.lower()
s.title()
"they're bill's friends-here (ok)".title()
"they're bill's friends-here (ok)" | title
"hELLO wORLD" | capitalize
"ǅungla straße".upper()
"ÀÉ".lower()
s.swapcase()
u.upper()
spaces.strip()
spaces.lstrip()
spaces.rstrip()
spaces | trim
"xxhixx".strip("x")
"xyhiyx".lstrip("xy")
"xyhiyx".rstrip("xy")
"xyhiyx" | trim("xy")
"  a ".strip(none)
"ééaé".strip("é")
"a,b,,c".split(",")
"a,b,,c".split(",", 1)
"a,b,,c".split(",", maxsplit=2)
"a,b,,c".rsplit(",", 1)
"a b  c ".split()
" a b  c ".split(none, 1)
" a b  c ".rsplit(none, 1)
"abc".split("")
"".split()
"".split(",")
"a</think>b</think>c".split("</think>")[-1]
lines.splitlines()
lines.splitlines(true)
"a-b-c".partition("-")
"a-b-c".rpartition("-")
"abc".partition("x")
"abc".rpartition("x")
s.startswith("Hello")
s.startswith(("x", "He"))
s.startswith(["x"])
s.endswith("World")
s.endswith("")
s.endswith(("a", "ld"))
s.replace("l", "L")
s.replace("l", "L", 1)
s.replace("", "-")
s.replace("zz", "y")
"aaa".replace("aa", "b")
s.find("o")
s.find("o", 5)
s.find("zz")
u.find("世")
s.rfind("o")
s.index("W")
s.index("zz")
s.count("l")
s.count("")
s.join(["a", "b"])
", ".join(words)
", ".join([1])
"-".join("abc")
"abc".isalpha()
"abc1".isalnum()
"123".isdigit()
"".isdigit()
" \n".isspace()
"ABC".isupper()
"abc1".islower()
"x".zfill(4)
"-5".zfill(4)
"ab".ljust(5) ~ "|"
"ab".rjust(5, "*")
"ab".center(7, ".")
"ab".center(6, ".")
"abc".removeprefix("a")
"abc".removesuffix("c")
"abc".nosuch()
"{} and {}".format(1, "x")
"{0}{1}{0}".format("a", "b")
"{name}!".format(name="Ann")
"{:>6}|{:<6}|{:^6}".format("a", "b", "c")
"{:05d} {:.2f} {:,}".format(42, 3.14159, 1234567)
"{:x} {:#x} {:o}".format(255, 255, 8)
"{{}} {}".format(1)
"{}".format()
"{!r}".format("a")
"{:.3}".format("abcdef")
"{:+d}".format(5)
"{:.1%}".format(0.256)
"%s and %d" % ("x", 5)
"%5d|%-5d|%05d" % (42, 42, 42)
"%.2f" % 3.14159
"%x %r %%" % (255, "q")
"%s" % [1, 2]
"%s %s" % ("a",)
"%d" % "x"
"%(a)s-%(b)s" % {"a": 1, "b": 2}
"%s: %s" | format("k", "v")
"%e %g" % (12345.678, 0.00001)
s | upper
s | lower
n | upper
none | upper
s | replace("l", "L")
s | replace("l", "L", 2)
n | replace("7", "8")
s | length
l | length
n | length
none | length
undefined_name | length
"" | length
l | join
l | join(", ")
people | join(", ", attribute="name")
"abc" | join("-")
undefined_name | join(",")
n | join
undefined_name | default("x")
nothing | default("x")
nothing | default("x", true)
empty | d("y", boolean=true)
undefined_name | default
s | default("x")
l | first
l | last
[] | first
[] | last
"abc" | first
"abc" | last
d | first
l | sort
l | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
people | sort(attribute="age") | map(attribute="name") | list
people | sort(attribute="age,name", reverse=true) | map(attribute="name") | list
mixed | sort
d | dictsort
d | dictsort(true)
d | dictsort(by="value", reverse=true)
words | unique | list
words | unique(case_sensitive=true) | list
[1, 1.0, true, "1"] | unique | list
l | reverse | list
"abc" | reverse
l | sum
[0.5, 1] | sum
people | sum(attribute="age")
["a"] | sum
[] | sum
l | min
l | max
words | min
words | max
[] | max
people | max(attribute="age")
l | list
"abc" | list
d.items() | list | length
n | list
range(5) | list
range(2, 10, 3) | list
range(5, 0, -2) | list
range(3)
range(1, 2, 3)
range(0)
range(3)[1]
range(5) | length
range(1000000)
range(1, 10, 0)
range("a")
n | string
f | int
"42" | int
" 42 " | int
"42.7" | int
"x" | int
"x" | int(5)
"0x1f" | int(base=16)
"ff" | int(0, 16)
"1_000" | int
none | int
undefined_name | int
[1] | int(9)
"3.5" | float
"1e3" | float
"x" | float
"x" | float(1.5)
"inf" | float
"nan" | float
n | float
-5 | abs
neg | abs
neg|abs + 1
"x" | abs
2.5 | round
3.5 | round
42.55 | round(1)
2.675 | round(2)
42.55 | round(1, "floor")
42.1 | round(method="ceil")
42 | round
1234.5 | round(-2)
42.55 | round | int
html | escape
html | e
html | safe
n | safe
"a\nb\n\nc" | indent
"a\nb\n\nc" | indent(2, true)
"a\nb\n\nc" | indent(2, first=true, blank=true)
"a\nb" | indent("> ")
l | tojson
d | tojson
mixed | tojson
d | tojson(indent=2)
deep | tojson(indent=4)
mixed | tojson(indent=0)
[] | tojson(indent=2)
{} | tojson
d | tojson(sort_keys=true)
d | tojson(separators=(",", ":"))
u | tojson
u | tojson(ensure_ascii=true)
"a\"b\\c/\n\t\x01\x7f" | tojson
html | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
(1, 2) | tojson
undefined_name | tojson
1e20 | tojson
0.1 | tojson
words | map("upper") | list
words | map("replace", "a", "A") | list
people | map(attribute="name") | join(",")
people | map(attribute="active", default="?") | list
people | map(attribute="tags.0") | list
people | map(attribute="nope") | list
words | map | list
words | map("nosuch") | list
l | select("odd") | list
l | select("greaterthan", 1) | list
l | reject("equalto", 1) | list
mixed | select | list
mixed | select("string") | list
mixed | reject("none") | list | length
l | select("nosuch") | list
people | selectattr("active") | map(attribute="name") | list
people | selectattr("age", "equalto", 31) | map(attribute="name") | list
people | selectattr("name", "in", ["Ann", "Cid"]) | list | length
people | rejectattr("active") | map(attribute="name") | list
people | rejectattr("active", "defined") | map(attribute="name") | list
messages | selectattr("role", "equalto", "user") | list | length
messages | selectattr("role", "equalto", "user") | length
(messages | selectattr("role", "equalto", "nobody")) is true
"yes" if messages | selectattr("role", "equalto", "nobody") else "no"
(messages | map(attribute="role"))[0]
messages | map(attribute="role") | first
messages | map(attribute="role") | last
d | items | list
undefined_name | items | list
n | items | list
l | batch(2) | list
l | batch(2, "x") | list
s | nosuchfilter
s | upper("x", "y")
s | trim(nosuch=1)
people[0] | attr("name")
s is string
n is string
n is number
t is number
n is integer
t is integer
f is float
t is boolean
t is true
n is true
no is false
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
n is sequence
d.items() is sequence
l is iterable
n is iterable
undefined_name is iterable
undefined_name is defined
s is defined
d.zz is not defined
s is not none
nothing is none
n is odd
n is even
n is divisibleby 7
n is divisibleby(2)
n is eq 7
n is equalto(8)
n is ne 7
n is gt 3
n is lt(3)
n is in [1, 7]
"e" is in "hello"
s is lower
"abc" is lower
"ABC" is upper
n is sameas 7
nothing is sameas none
1 is sameas true
raise_exception is callable
s is callable
s is nosuchtest
"upper" is filter
"odd" is test
n is odd and n is gt 5
not n is odd
n is not odd
1 in l
9 not in l
"ell" in s
1 in "1"
"Hello" in [s, "Hello"]
(1, 2) in [(1, 2)]
none in mixed
n is string or n is number
dict(a=1, b="x")
dict([("a", 1), ("b", 2)])
dict({"a": 1}, b=2)
namespace(a=1).a
namespace(a=1).b
namespace({"a": 1}).a
raise_exception("boom")
strftime_now("%Y-%m-%d")
strftime_now("%d %b %Y %H:%M:%S %j %A")
strftime_now("%-d %B")
strftime_now(1)
nosuchfunction(1)
s(1)
s.__class__
s.__class__.__mro__
().__class__.__bases__
"".__init__.__globals__
d.__class__
d["__class__"]
[1, 2,]
{"a": 1,}
(1, 2,)
[1 2]
{"a" 1}
(1
1 +
s |
s.
s[
s is
1 if
[,]
1 = 2
{{ 1 }}
a b
$
s!
"a" in
*l
not
messages[0].role
messages[-1]["content"].split("</think>")[-1].lstrip("\n")
messages[2].content.split("</think>")[0].rstrip("\n").split("<think>")[-1].lstrip("\n")
messages[1:] | length
messages[::-1] | map(attribute="role") | join(" ")
(messages | last).content
(messages | length) - 1
loop
loop is defined
true
True
none
None
false ~ False
1.5 | string
"%s" % none
[none, true, 1.0, "x"] | join(",")
{"a": [1, {"b": (1, 2)}]}
"abc"[1]
"abc".upper()[0]
[1, [2, 3]][1][0]
{"a": {"b": 1}}.a.b
{"a": {"b": 1}}["a"]["b"]
1.5.x
(l | sort)[0]
l | sort | first
(s | length) > 5
s | length > 5
"x" ~ l | join(",")
-n | abs
-1 | string
9223372036854775807
"é" < "z"
"a" * 5 == "aaaaa"
l == [3, 1, 2] and d == {"a": 2, "b": 1, "C": 3}
[1, 2, 3] | select(">", 1) | list
[1, 2, 3] | select("ge", 2) | map("string") | list
words | map("length") | sum
words | map("first") | join
[[1, 2], [3]] | map("sum") | list
[{"a": {"b": 1}}] | map(attribute="a.b") | list
"a.b.c".split(".") | reverse | join(".")
lines.split("\n") | map("trim") | select | list
"<|" ~ "im_start" ~ "|>"
"" ~ ''
"""

# Whole templates; separated by a line of four dashes.
TEMPLATES = r"""
{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
----
{% for x in l %}
  {{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.previtem }} {{ loop.nextitem }}
{% endfor %}
----
{% for x in [] %}{{ x }}{% else %}none{% endfor %}
----
{% for x in l if x > 1 %}{{ x }}:{{ loop.index }}:{{ loop.length }} {% else %}none{% endfor %}
----
{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}
----
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
----
{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}
----
{% for k in d %}{{ k }}{% endfor %}
----
{% for a, b in [(1, 2), [3, 4]] %}{{ a }}-{{ b }} {% endfor %}
----
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
----
{% for (a, b), c in [((1, 2), 3)] %}{{ a + b + c }}{% endfor %}
----
{% for c in u %}[{{ c }}]{% endfor %}
----
{% for x in undefined_name %}x{% else %}empty{% endfor %}
----
{% for x in none %}x{% endfor %}
----
{% for x in 5 %}x{% endfor %}
----
{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}
----
{% for x in l %}{% for y in l %}{{ x }}{{ y }}{% if y == 1 %}{% break %}{% endif %}{% endfor %};{% endfor %}
----
{% break %}
----
{% for x in l %}{{ loop.cycle("a", "b") }}{% endfor %}
----
{% for x in [1, 1, 2, 2] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}
----
{% for x in l %}{% for y in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{% endfor %}
----
{% for x in l %}{% set y = x %}{% endfor %}{{ y }}
----
{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }} {% endfor %}{{ y }}
----
{% set ns = namespace(total=0) %}{% for x in l %}{% set ns.total = ns.total + x %}{% endfor %}{{ ns.total }}
----
{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b = [ns.a] %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}
----
{% set d.x = 1 %}
----
{% set nothere.x = 1 %}
----
{% set ns = namespace(found=false) %}{% for m in messages if not ns.found %}{{ m.role }} {% if m.role == "user" %}{% set ns.found = true %}{% endif %}{% endfor %}
----
{% set a, b = 1, 2 %}{{ a }}{{ b }}
----
{% set a, b = [1] %}
----
{% set (a, b) = (1, 2) %}{{ a + b }}
----
{% set x %}text {{ n }}{% endset %}[{{ x }}]
----
{% set x | upper | trim %} text {{ n }} {% endset %}[{{ x }}]
----
{% set x = 1 if no %}{{ x is defined }}
----
{% set true = 1 %}
----
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
----
{% if n > 10 %}a{% elif n > 5 %}b{% elif n > 3 %}c{% else %}d{% endif %}
----
{% if no %}a{% elif no %}b{% else %}c{% endif %}
----
{% if undefined_name %}a{% endif %}b
----
{% if not undefined_name %}a{% endif %}
----
{% if d.zz is defined and d.zz.y %}a{% else %}b{% endif %}
----
{% if l, %}a{% endif %}
----
{% macro m(a, b=2, c="x") %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(c=5, a=4) }} {{ m() }}
----
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
----
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
----
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}
----
{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}
----
{% macro m(a=1, b) %}{% endmacro %}
----
{% macro fact(x) %}{{ 1 if x <= 1 else x * (fact(x - 1) | int) }}{% endmacro %}{{ fact(5) }}
----
{% macro loop_forever() %}{{ loop_forever() }}{% endmacro %}{{ loop_forever() }}
----
{% set g = 5 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 6 %}{{ m() }}
----
{% macro m() %}{{ x }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}
----
{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{"x": 2}) }}
----
{% macro m(x) -%}  {{ x }}  {%- endmacro %}[{{ m(1) | upper }}]{{ m.name }}
----
{% filter upper %}abc {{ s }}{% endfilter %}
----
{% filter replace("a", "b") | upper %}banana{% endfilter %}
----
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}
----
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}
----
{% raw %}{{ not }} {% evaluated %} {# at all #}{% endraw %}!
----
{%- raw -%}  x  {%- endraw -%}  y
----
{% raw %}unclosed
----
a{# comment #}b
----
a {#- comment -#} b
----
{# unclosed
----
{% generation %}answer {{ n }}{% endgeneration %}!
----
{% set v = 1 %}{% generation %}{% set v = 2 %}{{ v }}{% endgeneration %}{{ v }}
----
a
  {% if t %}
  b
  {% endif %}
c
----
a
  {%- if t %}
  b
  {%- endif %}
c
----
a
  {% if t -%}
  b
  {% endif -%}
c
----
a
  {%+ if t %}
  b
  {%+ endif +%}
c
----
x {{- n -}} y
----
x {{ n -}}
  y
----
  {{ n }}
----
␉{% set a = 1 %}␉
{{ a }}
----
line{% if t %}

two{% endif %}

----
{% for x in l -%}
  {{ x }}
{%- endfor %}
----
{{ '{{' }} {{ "%}" }} {{ {"a": {"b": 1}} }}
----
{{ "}}" }}
----
{%if t%}tight{%endif%}
----
{% if t %}
----
{% endif %}
----
{% for x in l %}{% endif %}
----
{% nosuchtag %}
----
{{ 1
----
{{ }}
----
{% %}
----
{% for x l %}{% endfor %}
----
{% for 1 in l %}{% endfor %}
----
{% set x %}
----
{% set 1 = 2 %}
----
{% elif t %}
----
{% include "x" %}
----
{% import "x" as y %}
----
{% extends "x" %}
----
text only
----
trailing newline

----
{{ raise_exception("System role not supported") }}
----
{% if messages[0].role != "user" %}{{ raise_exception("first must be user, not " ~ messages[0].role) }}{% endif %}
----
{% set x = l.append(4) %}{{ l }}
----
{% do l.append(4) %}
----
{% for m in messages %}{% if (m.role == "user") != (loop.index0 % 2 == 0) %}{{ m.role }}!{% else %}{{ m.role }}.{% endif %}{% endfor %}
----
{% for m in messages %}{{ "<|im_start|>" + m["role"] + "\n" + m.content + "<|im_end|>" + "\n" }}{% endfor %}
----
{% set it = l | map("string") %}{{ it | list }}{{ it | list }}
----
{% set it = l | select("odd") %}{% for x in it %}{{ x }}{% endfor %}{% for x in it %}{{ x }}{% else %}used{% endfor %}
----
{{ "a" }}{{- "b" }}
{{- "c" }}
----
{% set items = [] %}{% for x in l %}{% set items = items + [x * 2] %}{% endfor %}{{ items }}
----
{% set s2 = namespace(t="") %}{% for w in words %}{% set s2.t = s2.t ~ w[0] %}{% endfor %}{{ s2.t }}
----
{% for a in l %}{{ loop.index }}{% for b in "xy" %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}
----
{% for x in l recursive %}{% endfor %}{{ undefined_name.x }}
----
{% if "a" is in s and s is string %}A{% else %}B{% endif %}
----
{% if t %}{{ 1 }}{% else %}{{ nosuch.x }}{% endif %}
----
{{- "start" }}
   {{- " end" -}}␠␠␠
----
{% set
   a
   =
   1
%}{{ a }}
----
{{ s
   | upper
   | replace(
       "L",
       "l"
   ) }}
----
{% set messages = messages[1:] %}{{ messages | length }}
----
{% if messages[0]["role"] == "system" %}{% set sys = messages[0]["content"] %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{{ sys }}{{ rest | length }}
----
{% macro t(p) %}{% if p is mapping %}{% for k, v in p.items() %}{{ k }}({{ t(v) }}){% endfor %}{% elif p is iterable and p is not string %}{% for v in p %}[{{ t(v) }}]{% endfor %}{% else %}{{ p }}{% endif %}{% endmacro %}{{ t(deep) }}
----
{%- macro q(s) -%}"{{ s }}"{%- endmacro -%}{{ [q("a"), q("b")] | join(", ") }}
----
{% set range = 3 %}{{ range }}
----
{{ "a" if t else "b" ~ "c" }}{{ ("a" if no else "b") ~ "c" }}
""".strip("\n").replace("␉", "\t").replace("␠", " ")  # blanks at the end of a line would not be seen


def snippets():
    env = environment()
    sources = ["{{ " + line + " }}" for line in EXPRESSIONS.strip("\n").split("\n") if line]
    sources += TEMPLATES.split("\n----\n")
    cases = [[source, render(env, source, VARIABLES)] for source in sources]
    return {"variables": VARIABLES, "cases": cases}


def tool(name, **properties):
    function = {"name": name, "description": f'Calls "{name}" é', "parameters": {"type": "object", "properties": properties}}
    return {"type": "function", "function": function}


TOOLS = [
    tool("get_weather", city={"type": "string", "enum": ["Paris", "Rome"]}, days={"type": "integer", "default": 3}),
    tool("now"),
]


def call(arguments):
    return {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


SYSTEM = {"role": "system", "content": "You are <b>terse</b>.\nBe nice."}
RESULT = {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "sunny, 20°"}

CONVERSATIONS = {
    "one": [user("Hello")],
    "system": [SYSTEM, user(" Hi \n")],
    "turns": [SYSTEM, user("a"), assistant("b"), user("c")],
    "ends with assistant": [user("a"), assistant("b")],
    "thinking in content": [user("q"), assistant("<think>\nhmm\n</think>\n\nanswer"), user("next")],
    "thinking apart": [user("q"), assistant("answer", reasoning_content="because\n"), user("next")],
    "tool": [SYSTEM, user("w?"), assistant("", tool_calls=[call({"city": "Paris", "days": 2})]), RESULT, assistant("Sun")],
    "two tools": [user("w?"), assistant(None, tool_calls=[call('{"city": "Rome"}'), call({"city": "Paris"})]), RESULT, RESULT],
    "wrong order": [assistant("x"), assistant("y")],
    "unknown role": [{"role": "weird", "content": "x"}, user("y")],
}

SETTINGS = [
    {"add_generation_prompt": True, "tools": None},
    {"add_generation_prompt": False},
    {"add_generation_prompt": True, "tools": TOOLS, "enable_thinking": False},
    {"add_generation_prompt": True, "enable_thinking": True},
]


def chats(folder):
    env = environment()
    sources = {path.stem: path.read_text() for path in sorted(pathlib.Path(folder).glob("*.jinja"))}
    cases = []
    for name, source in sources.items():
        for conversation, messages in CONVERSATIONS.items():
            for i, settings in enumerate(SETTINGS):
                variables = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", **settings}
                cases.append([name, conversation, i, render(env, source, variables)])
    return {"conversations": CONVERSATIONS, "settings": SETTINGS, "cases": cases}


def main():
    golden = snippets() if len(sys.argv) == 2 else chats(sys.argv[2])
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in golden.pop("cases"))
    head = json.dumps(golden, ensure_ascii=False)[:-1]
    pathlib.Path(sys.argv[1]).write_text(head + ', "cases": [\n' + rows + "\n]}\n", newline="")


if __name__ == "__main__":
    main()
