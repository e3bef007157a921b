#!/usr/bin/env python3
"""tern bench at a terminal: how far it is, and Ctrl-C. Python's standard library only.

    bench_test.py TERN
"""

import json
import os
import sys
import tempfile
import unittest

import models
from terminal import Terminal

TERN = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""


class Bench(unittest.TestCase):
    def test_control_c_keeps_what_was_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            models.write_all(folder)
            t = Terminal(TERN, folder, "bench", "endless.gguf", "-p", "0", "-n", "400", "-r", "100", "-t", "1",
                         "--json", "cut.json")
            t.expect_match(r"measuring +[2-9]\d? %")  # the warm-up counts as the first 1 %, a round behind it is done
            t.type("\x03")
            self.assertEqual(t.wait(), 130)
            self.assertIn("| decode", t.unread)
            with open(os.path.join(folder, "cut.json"), encoding="utf-8") as file:
                rounds = json.load(file)["cases"][1]["tokens_per_second"]["values"]
            self.assertIn(len(rounds), range(1, 100))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
