#!/usr/bin/env python3
"""Checks of the house itself: what no compiler sees.

    house.py CHECK ROOT     CHECK is one of floors, guards, blanks, words, corpora
    house.py --try          runs every check on small broken trees and sees it fail

Prints each fault as file:line: words, and exits with 1 if there is one.
"""
import pathlib
import re
import sys
import tempfile

# Which rooms' headers a room may include besides its own (docs/architecture.md has the table and the reasons).
# "device.h" names one header: the model knows what a device can do, not how.
FLOORS = {
    "base": set(),
    "format": {"base"},
    "hub": {"base"},
    "kernel": {"format", "base"},
    "text": {"format", "base"},
    "convert": {"format", "base"},
    "device": {"kernel", "format", "base"},
    "model": {"device/device.h", "format", "base"},
    "train": {"format", "text", "base"},
    "engine": {"model", "device/device.h", "text", "format", "base"},
    "serve": {"engine", "text", "base"},
    "eval": {"engine", "model", "text", "format", "base"},
    "cli": {"serve", "eval", "train", "engine", "model", "device", "kernel", "text", "convert", "format", "hub", "base"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')

# Things that belong to one person's machine or to an unfinished thought. (The brackets keep this file from finding
# itself.)
FORBIDDEN = [
    (re.compile(r"/[h]ome/\w|/[U]sers/\w|/[r]oot/|/[w]ork/|/[t]mp/w/"), "a path of somebody's machine"),
    (re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b"), "a note of something unfinished"),
    (re.compile(r"^(<{7}|>{7}|={7})( |$)"), "a merge conflict"),
]

CODE = (".c", ".h")
TEXT = CODE + (".py", ".sh", ".md", ".cmake", ".txt", ".in", ".json")
PROGRAMS = CODE + (".py",)
DATA = ("tests/golden", "tests/bad", "tests/fuzz/corpus", "tests/cli/transcripts")  # but for the programs among it
FOREIGN = ("build", ".git", "web/node_modules")


def files(root, suffixes, folders=(".",)):
    """The project's own text files, not test data, as (path from the root, path)."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            others = FOREIGN if path.suffix in PROGRAMS else FOREIGN + DATA
            own = not any(name == other or name.startswith(other + "/") for other in others)
            kind = path.suffix in suffixes or (TEXT is suffixes and name.split("/")[0] in ("scripts", ".ci"))
            if own and kind and path.is_file() and "__pycache__" not in name:
                yield name, path


def lines(path):
    return enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1)


def check_floors(root):
    for name, path in files(root, CODE, ["src"]):
        room = name.split("/")[1]
        if room not in FLOORS:
            yield f"{name}:1: src/{room}/ is not a room of the house"
            continue
        for number, line in lines(path):
            include = INCLUDE.match(line)
            if not include:
                continue
            quote, target = include.groups()
            if quote == "<" or target.startswith("tern/"):
                continue
            above = target.split("/")[0]
            if "/" not in target or not (root / "src" / target).is_file():
                yield f'{name}:{number}: "{target}" is not a header of src/; write room/header.h'
            elif above != room and above not in FLOORS[room] and target not in FLOORS[room]:
                allowed = ", ".join(sorted(FLOORS[room])) or "only the C library"
                yield f"{name}:{number}: {room} may not include {target} (it may include {allowed})"


def check_guards(root):
    for name, path in files(root, (".h",), ["src", "include"]):
        parts = pathlib.PurePath(name).with_suffix("").parts[1:]
        if parts[0] == "tern":
            parts = parts[1:]
        guard = "_".join(parts).upper().replace("-", "_") + "_H"
        text = path.read_text(encoding="utf-8")
        directives = [line for line in text.split("\n") if line.startswith("#")]
        if directives[:2] != [f"#ifndef {guard}", f"#define {guard}"] or directives[-1:] != ["#endif"]:
            yield f"{name}:1: the header does not begin with #ifndef {guard}, #define {guard} and end with #endif"


def check_blanks(root):
    for name, path in files(root, TEXT):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text and not text.endswith("\n"):
            yield f"{name}: the last line has no end"
        if text.endswith("\n\n"):
            yield f"{name}: empty lines at the end"
        for number, line in lines(path):
            if line != line.rstrip():
                yield f"{name}:{number}: blanks at the end of the line"
            if "\t" in line:
                yield f"{name}:{number}: a tab"


def check_words(root):
    for name, path in files(root, TEXT):
        for number, line in lines(path):
            for pattern, what in FORBIDDEN:
                found = pattern.search(line)
                if found:
                    yield f"{name}:{number}: {found.group()!r} is {what}"


def check_corpora(root):
    fuzz = root / "tests" / "fuzz"
    targets = {path.stem for path in fuzz.glob("*.c")} - {"replay"}
    for target in sorted(targets):
        if not any((fuzz / "corpus" / target).glob("*")):
            yield f"tests/fuzz/{target}.c: there is no corpus in tests/fuzz/corpus/{target}/"
    for corpus in sorted((fuzz / "corpus").glob("*")):
        if corpus.name not in targets:
            yield f"tests/fuzz/corpus/{corpus.name}/: there is no tests/fuzz/{corpus.name}.c"


CHECKS = {name[6:]: check for name, check in globals().items() if name.startswith("check_")}

# For each check, trees that it must find fault with: files, and words of the fault.
BROKEN = [
    ("floors", {"src/base/a.c": '#include "format/b.h"\n', "src/format/b.h": ""}, "base may not include format/b.h"),
    ("floors", {"src/text/a.c": '#include "kernel/b.h"\n', "src/kernel/b.h": ""}, "text may not include kernel/b.h"),
    ("floors", {"src/model/a.c": '#include "device/cpu.h"\n', "src/device/cpu.h": ""}, "model may not include"),
    ("floors", {"src/model/a.c": '#include "a.h"\n', "src/model/a.h": ""}, "is not a header of src/"),
    ("floors", {"src/attic/a.c": ""}, "not a room"),
    ("guards", {"src/base/a.h": "#ifndef B_H\n#define B_H\n#endif\n"}, "BASE_A_H"),
    ("guards", {"src/base/a.h": "int a;\n"}, "BASE_A_H"),
    ("blanks", {"src/base/a.c": "int a; \n"}, "blanks at the end"),
    ("blanks", {"src/base/a.c": "\tint a;\n"}, "a tab"),
    ("blanks", {"docs/a.md": "a"}, "no end"),
    ("blanks", {"scripts/a": "a\n\n"}, "empty lines"),
    ("words", {"src/base/a.c": "// see /h" + "ome/me/notes\n"}, "somebody's machine"),
    ("words", {"docs/a.md": "TO" + "DO: write\n"}, "unfinished"),
    ("words", {"src/base/a.c": "<<<<<<" + "< HEAD\n"}, "merge conflict"),
    ("corpora", {"tests/fuzz/a.c": ""}, "no corpus"),
    ("corpora", {"tests/fuzz/corpus/b/1": ""}, "there is no tests/fuzz/b.c"),
]


def try_checks():
    failures = 0
    for check, tree, words in BROKEN:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in tree.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            faults = list(CHECKS[check](root))
        if not any(words in fault for fault in faults):
            print(f"{check} on {tree} did not say {words!r}, but {faults}")
            failures += 1
    print(f"{len(BROKEN) - failures} of {len(BROKEN)} broken trees were found out")
    return failures == 0


def main():
    if sys.argv[1:] == ["--try"]:
        return try_checks()
    if len(sys.argv) != 3 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    faults = list(CHECKS[sys.argv[1]](pathlib.Path(sys.argv[2])))
    for fault in faults:
        print(fault)
    return not faults


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
