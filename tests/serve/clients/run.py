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
from xml.etree import ElementTree

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


class Report:
    """Of tests, whoever ran them."""

    def __init__(self):
        self.ran = 0
        self.failures = {}  # what failed: the last line of why

    def fail(self, name, why):
        self.failures.setdefault(name, why.strip().splitlines()[-1] if why.strip() else "")

    def write(self, path):
        suite = ElementTree.Element("testsuite", name="clients", tests=str(self.ran), failures=str(len(self.failures)))
        for name, why in self.failures.items():
            case = ElementTree.SubElement(suite, "testcase", name=name)
            ElementTree.SubElement(case, "failure", message=why)
        tree = ElementTree.ElementTree(suite)
        ElementTree.indent(tree)
        tree.write(path, encoding="unicode")


def run_python(only, report):
    suite = unittest.TestSuite()
    sys.path.insert(0, str(HERE))
    for path in sorted(HERE.glob("test_*.py")):
        if chosen(path, only):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(path.stem))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    report.ran += result.testsRun
    for test, why in [*result.errors, *result.failures]:
        report.fail(test.id(), why)


def run_node(only, modules, report):
    files = [path for path in sorted(HERE.glob("*.test.mjs")) if chosen(path, only)]
    if not files:
        return
    # Node looks for packages beside the file that wants them, and the build folder holds them: so the files go there.
    for path in files:
        shutil.copy(path, modules)
    names = [str(modules / path.name) for path in files]
    junit = modules / "report.xml"
    junit.unlink(missing_ok=True)
    done = subprocess.run(["node", "--test", "--test-reporter=spec", "--test-reporter-destination=stdout",
                           "--test-reporter=junit", f"--test-reporter-destination={junit}", *names], check=False)
    cases = list(ElementTree.parse(junit).iter("testcase")) if junit.exists() else []
    report.ran += len(cases)
    failed = [case for case in cases if case.find("failure") is not None]
    for case in failed:
        report.fail(case.get("name"), case.find("failure").get("message", ""))
    if done.returncode != 0 and not failed:
        report.fail("node --test", f"exit code {done.returncode}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tern")
    parser.add_argument("model")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--node-modules", type=pathlib.Path, help="a folder in which npm ci was run; without: no Node")
    parser.add_argument("--option", action="append", default=[], help="a further option of the server")
    parser.add_argument("--report", type=pathlib.Path, help="write the number of tests and what failed here, as JUnit does")
    options = parser.parse_args()

    report = Report()
    url = f"http://127.0.0.1:{free_port()}"
    command = [options.tern, "serve", options.model, "--port", url.rsplit(":", 1)[1], "--api-key", KEY,
               "-c", "4096", *options.option]
    os.environ.update(TERN_TEST_URL=url, TERN_TEST_KEY=KEY)
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_until_ready(url, server)
            run_python(options.only, report)
            if options.node_modules:
                run_node(options.only, options.node_modules, report)
        finally:
            server.terminate()
        code = server.wait(60)
        if code != 0:
            report.fail("tern serve", f"ended with exit code {code}")
        if report.failures:
            log.seek(0)
            print("".join(log.readlines()[-100:]), f"the server ended with exit code {code}", sep="")
    if options.report:
        report.write(options.report)
    return not report.failures


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
