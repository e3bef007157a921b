#!/usr/bin/env python3
"""What share/deploy has for machines that serve: the options' file starts a server, the unit of systemd is well-formed and
gives little away, the image has the libraries that the build needs.

    deploy_test.py TERN
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from server import Models, Server

TERN = os.path.abspath(sys.argv.pop(1))
SOURCE = pathlib.Path(__file__).parents[2]
DEPLOY = SOURCE / "share" / "deploy"
MOST_EXPOSED = 15  # of 100, by systemd's own reckoning


class Deploy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tern-deploy-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_options(self):
        text = (DEPLOY / "serve.conf").read_text(encoding="utf-8")
        model = pathlib.Path(Models.get()) / "chain.gguf"
        options = self.folder / "serve.conf"
        options.write_text(text.replace("/var/lib/tern/model.gguf", str(model)), encoding="utf-8")
        self.assertNotIn("/var/lib", options.read_text(encoding="utf-8"))
        with Server(TERN, str(self.folder), "--config", str(options), "--cache-dir", str(self.folder / "cache")) as server:
            self.assertEqual(server.get("/v1/models").json()["data"][0]["id"], "chain")
        commented = re.findall(r"^# ([a-z-]+) = ", text, re.MULTILINE)
        words = subprocess.run([TERN, "serve", "--help"], capture_output=True, text=True, check=True).stdout
        for name in commented:
            self.assertIn(f"--{name}", words)

    def test_unit(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is missing")
        unit = self.folder / "tern.service"
        text = (DEPLOY / "tern.service").read_text(encoding="utf-8")
        unit.write_text(text.replace("/usr/local/bin/tern", TERN), encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, [line for line in done.stderr.split("\n") if "tern.service" in line]), (0, []))
        rated = subprocess.run(["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(unit)],
                               capture_output=True, text=True, check=False)
        self.assertEqual(rated.returncode, 0, rated.stdout[-2000:] + rated.stderr)

    def test_image(self):
        needs = (SOURCE / "scripts" / "install-dependencies").read_text(encoding="utf-8")
        needs = re.search(r"needs_build='(.*?)'", needs, re.DOTALL)[1]
        packages = {package for line in needs.strip().split("\n") for package in line.split("|")[2].split()}
        build = (DEPLOY / "Containerfile").read_text(encoding="utf-8").split("\nFROM ")[1]
        self.assertEqual(packages - set(build.split()), set())


if __name__ == "__main__":
    unittest.main()
