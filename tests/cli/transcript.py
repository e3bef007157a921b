#!/usr/bin/env python3
"""Runs a transcript: commands and what they must print. Python's standard library only.

    transcript.py TERN TRANSCRIPT...

In a transcript, a line that begins with "$ " is a shell command; what follows it is expected:

    standard output, line by line
    ! standard error, line by line (two characters before it)
    ? 2                       the exit code; 0 if there is none

"..." within an expected line matches any text, as a line of its own any number of lines. Lines that begin with "#"
before the first command, or after an empty line, are comments. Each transcript runs in a folder of its own with the
models that tests/cli/models.py makes; standard input is empty unless the command says otherwise.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import models

TIMEOUT = 300  # a command that hangs; the slowest, under sanitizers on a busy machine, takes a minute


@dataclass
class Step:
    line: int
    command: str
    out: list = field(default_factory=list)
    err: list = field(default_factory=list)
    code: int = 0


def read_steps(path):
    steps = []
    comment = True
    for number, line in enumerate(open(path, encoding="utf-8").read().splitlines(), 1):
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
            comment = False
        elif line == "" or (comment and line.startswith("#")):
            comment = True
        elif not steps:
            sys.exit(f"{path}:{number}: expected a command, '$ ...'")
        elif line.startswith("? "):
            steps[-1].code = int(line[2:])
        elif line.startswith("! "):
            steps[-1].err.append(line[2:])
        else:
            steps[-1].out.append("" if line == "~" else line)
    return steps


def pattern(lines):
    """A regular expression for the expected lines."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(re.escape(piece) for piece in line.split("...")) + r"\n")
    return "".join(parts)


def compare(step, name, expected, got):
    if got and not got.endswith("\n"):
        got += "\n"
    if re.fullmatch(pattern(expected), got):
        return []
    diff = difflib.unified_diff(expected, got.splitlines(), f"expected {name}", f"{name} of: {step.command}", lineterm="")
    return list(diff)


def run_step(step, folder, environment):
    try:
        done = subprocess.run(["/bin/sh", "-c", step.command], cwd=folder, env=environment, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except subprocess.TimeoutExpired:
        return [f"took more than {TIMEOUT} s: {step.command}"]
    faults = compare(step, "stdout", step.out, done.stdout.decode(errors="replace"))
    faults += compare(step, "stderr", step.err, done.stderr.decode(errors="replace"))
    if done.returncode != step.code:
        faults.append(f"exit code {done.returncode}, expected {step.code}: {step.command}")
    return faults


def test_environment(tern, folder):
    kept = {name: os.environ[name] for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH")
            if name in os.environ}
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return {**kept, "PATH": os.path.dirname(tern) + ":/usr/local/bin:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8",
            "SMOLLM2": os.path.join(cache, "tern", "SmolLM2-135M-Instruct.Q4_1.gguf")}


def run_transcript(tern, path):
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        models.write_all(folder)
        for step in read_steps(path):
            for line in (found := run_step(step, folder, test_environment(tern, folder))):
                print(line)
            if found:
                print(f"{path}:{step.line}: not as expected\n")
                faults += 1
    return faults


def main():
    tern = os.path.abspath(sys.argv[1])
    faults = sum(run_transcript(tern, path) for path in sys.argv[2:])
    sys.exit(1 if faults else 0)


main()
