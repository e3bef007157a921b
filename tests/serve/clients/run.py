#!/usr/bin/env python3
"""The official client libraries against a real server with a small real model.

    run.py TERN MODEL [--only NAME...] [--node-modules FOLDER]

Starts `TERN serve MODEL` on a free port of this machine, and runs test_*.py beside this file and, with Node, *.test.mjs
against it (--only: those whose names contain one of these words). The tests find the server in TERN_TEST_URL and its
key in TERN_TEST_KEY. Exit code 0 if all is well.

Needs the packages of requirements.txt and, for Node, of package-lock.json; scripts/test's stage `clients` installs them.
"""
import argparse
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
KEY = "a-key-for-tests"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(url, server, seconds=60):
    for _ in range(seconds * 10):
        if server.poll() is not None:
            sys.exit(f"the server ended with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(url + "/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    sys.exit("the server was not ready in time")


def chosen(path, only):
    return not only or any(word in path.name for word in only)


class Count:
    """Of tests, whoever ran them."""

    def __init__(self):
        self.ran = self.failed = 0

    def write(self, path):
        path.write_text(f'<testsuite name="clients" tests="{self.ran}" failures="{self.failed}"/>\n', encoding="utf-8")


def run_python(only, count):
    suite = unittest.TestSuite()
    sys.path.insert(0, str(HERE))
    for path in sorted(HERE.glob("test_*.py")):
        if chosen(path, only):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(path.stem))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    count.ran += result.testsRun
    count.failed += len({test.id() for test, _ in [*result.errors, *result.failures]})


def run_node(only, modules, count):
    files = [path for path in sorted(HERE.glob("*.test.mjs")) if chosen(path, only)]
    if not files:
        return
    # Node looks for packages beside the file that wants them, and the build folder holds them: so the files go there.
    for path in files:
        shutil.copy(path, modules)
    names = [str(modules / path.name) for path in files]
    done = subprocess.run(["node", "--test", "--test-reporter=spec", *names], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    numbers = dict(re.findall(r"^\S+ (tests|fail|cancelled) (\d+)$", done.stdout, re.MULTILINE))
    count.ran += int(numbers.get("tests", 1))
    count.failed += int(numbers.get("fail", 0)) + int(numbers.get("cancelled", 0))
    if done.returncode != 0 and count.failed == 0:
        count.failed += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tern")
    parser.add_argument("model")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--node-modules", type=pathlib.Path, help="a folder in which npm ci was run; without: no Node")
    parser.add_argument("--option", action="append", default=[], help="a further option of the server")
    parser.add_argument("--report", type=pathlib.Path, help="write the numbers of tests here, as JUnit does")
    options = parser.parse_args()

    count = Count()
    url = f"http://127.0.0.1:{free_port()}"
    command = [options.tern, "serve", options.model, "--port", url.rsplit(":", 1)[1], "--api-key", KEY,
               "-c", "4096", *options.option]
    os.environ.update(TERN_TEST_URL=url, TERN_TEST_KEY=KEY)
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_until_ready(url, server)
            run_python(options.only, count)
            if options.node_modules:
                run_node(options.only, options.node_modules, count)
        finally:
            server.terminate()
        code = server.wait(60)
        if count.failed or code != 0:
            log.seek(0)
            print("".join(log.readlines()[-100:]), f"the server ended with exit code {code}", sep="")
    if options.report:
        count.write(options.report)
    return count.failed == 0 and code == 0


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
