#!/usr/bin/env python3
"""tern pull, list and rm against a server on this machine that misbehaves. Python's standard library only.

    hub_test.py TERN [words in names of tests]
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import pty
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from server import Server, Story

TERN = os.path.abspath(sys.argv.pop(1))
GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
MIB = 1 << 20


def model(megabytes, seed=1):
    return b"GGUF" + random.Random(seed).randbytes(int(megabytes * MIB) - 4)


class Hub(unittest.TestCase):
    def setUp(self):
        self.server, self.other = Server(), Server()
        self.folder = tempfile.TemporaryDirectory()
        self.cache = pathlib.Path(self.folder.name) / "tern"
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.server.close)
        self.addCleanup(self.other.close)

    # ---- Means ----------------------------------------------------------------------------------------------------

    def tell(self, name, body=b"", server=None, **traits):
        """The file `name`.gguf of the repository own/model, and where it will lie."""
        story = Story(body, **traits)
        (server or self.server).stories[name] = story
        return story, self.cache / "hub" / "own" / "model" / f"{name}.gguf"

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH")
                if name in os.environ}
        return {**kept, "PATH": os.environ["PATH"], "HOME": "/nonexistent", "XDG_CACHE_HOME": self.folder.name,
                "HF_ENDPOINT": self.server.address, "LANG": "C.UTF-8", **more}

    def start(self, *words, env=None, **options):
        return subprocess.Popen([TERN, *words], env=self.environment(**(env or {})), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def run_tern(self, *words, **options):
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=60)
        self.assertNotIn("Sanitizer", err)
        return process.returncode, out, err

    def pull(self, name, *words, **options):
        return self.run_tern("pull", f"hf:own/model:{name}.gguf", *words, **options)

    def assert_pulled(self, result, path, body):
        code, out, err = result
        self.assertEqual(code, 0, err)
        self.assertEqual(out, f"{path}\n")
        self.assertTrue(path.read_bytes() == body, "other bytes than the server's")
        self.assert_nothing_left(path)

    def assert_nothing_left(self, path):
        self.assertFalse(path.with_name(path.name + ".part").exists())
        self.assertFalse(path.with_name(path.name + ".part.json").exists())

    def assert_failed(self, result, path, *words):
        code, out, err = result
        self.assertEqual((code, out), (1, ""), err)
        for word in words:
            self.assertIn(word, err)
        self.assertFalse(path.exists())

    def part_of(self, path):
        return path.with_name(path.name + ".part")

    # ---- The plain way --------------------------------------------------------------------------------------------

    def test_plain(self):
        body = model(3)
        story, path = self.tell("plain", body, linked_size=True)
        self.assert_pulled(self.pull("plain"), path, body)
        source = json.loads(path.with_name("plain.gguf.json").read_text())
        self.assertEqual(source["sha256"], hashlib.sha256(body).hexdigest())
        self.assertEqual(source["url"], f"{self.server.address}/own/model/resolve/main/plain.gguf")
        self.assert_pulled(self.pull("plain"), path, body)
        self.assertEqual(len(story.log), 1, "what is there is not fetched again")
        self.assert_pulled(self.pull("plain", "--force"), path, body)
        self.assertEqual(len(story.log), 2)

    def test_address(self):
        body = model(1)
        story, _ = self.tell("far", body, state_sha256=False)
        address = f"{self.server.address}/a/far.gguf?download=true"
        mark = hashlib.sha256(address.encode()).hexdigest()[:12]
        path = self.cache / "url" / f"127.0.0.1_{self.server.server_address[1]}" / mark / "a" / "far.gguf"
        result = self.run_tern("pull", address)
        self.assert_pulled(result, path, body)
        self.assertIn("nobody states this file's SHA-256", result[2])
        given = hashlib.sha256(b"other").hexdigest()
        code, _, err = self.run_tern("pull", address, "--force", "--sha256", given)
        self.assertEqual(code, 1)
        self.assertIn(f"{given} was expected", err)
        self.assertTrue(path.read_bytes() == body, "the old file stays")

    def test_addresses_that_differ_in_their_query(self):
        body = (GOLDEN / "chain.gguf").read_bytes()
        bodies = [body, body + bytes(32)]
        addresses = [f"{self.server.address}/repo?FilePath={name}.gguf" for name in "ab"]
        for name, body in zip("ab", bodies):
            self.tell(f"FilePath={name}", body, state_sha256=False)
        paths = [pathlib.Path(self.run_tern("pull", address)[1].rstrip("\n")) for address in addresses]
        for address, path, body in zip(addresses, paths, bodies):
            self.assertTrue(path.read_bytes() == body, "the other address's model lies there")
            self.assertIn(str(path), self.run_tern("info", address)[1])

    def test_a_file_of_another_address_is_not_meant(self):
        body = (GOLDEN / "chain.gguf").read_bytes()
        self.tell("far", body, state_sha256=False)
        address = f"{self.server.address}/a/far.gguf"
        path = pathlib.Path(self.run_tern("pull", address)[1].rstrip("\n"))
        self.assertEqual(self.run_tern("info", address)[0], 0)
        path.with_name("far.gguf.json").write_text(json.dumps({"url": address + "?v=2"}))
        self.assertIn("is not on this machine", self.run_tern("info", address)[2])

    def test_length_unknown(self):
        body = model(1)
        _, path = self.tell("chunked", body, chunked=True)
        self.assert_pulled(self.pull("chunked"), path, body)

    def test_sha256_from_the_list_of_files(self):
        body = model(1)
        sha256 = hashlib.sha256(body).hexdigest()
        tree = [{"type": "file", "path": "listed.gguf", "size": len(body), "lfs": {"oid": sha256}}]
        story, path = self.tell("listed", body, state_sha256=False)
        self.server.stories["/api/models/own/model/"] = Story(tree=tree)
        self.assert_pulled(self.pull("listed"), path, body)
        tree[0]["lfs"]["oid"] = "0" * 64
        code, _, err = self.pull("listed", "--force")
        self.assertEqual(code, 1)
        self.assertIn("0" * 64 + " was expected", err)

    # ---- Breaking off and going on --------------------------------------------------------------------------------

    def test_breaks_off(self):
        body = model(4)
        story, path = self.tell("broken", body, break_after=[MIB + 1, 2 * MIB])
        result = self.pull("broken")
        self.assert_pulled(result, path, body)
        self.assertEqual([entry[1] for entry in story.log], [None, f"bytes={MIB + 1}-", f"bytes={3 * MIB + 1}-"])
        self.assertEqual(story.log[1][2], story.etag)
        self.assertIn("trying again in 1 s", result[2])

    def test_ignores_ranges(self):
        body = model(2)
        story, path = self.tell("whole", body, ranges=False, break_after=[MIB])
        result = self.pull("whole")
        self.assert_pulled(result, path, body)
        self.assertIn("sends the whole file again", result[2])

    def test_changes_between_attempts(self):
        old, new = model(2, 1), model(2, 2)
        story, path = self.tell("changing", old, break_after=[MIB])
        self.assert_failed(self.pull("changing", "--retries", "0"), path, "(1048576 of 2097152 bytes came)")
        story.__dict__.update(Story(new).__dict__)
        result = self.pull("changing")
        self.assert_pulled(result, path, new)
        self.assertIn("going on after the 1.0 MB", result[2])
        self.assertIn("sends the whole file again", result[2])

    def test_changes_without_etag(self):
        old, new = model(2, 1), model(2, 2)
        story, path = self.tell("mute", old, break_after=[MIB], etag="")
        self.assert_failed(self.pull("mute", "--retries", "0"), path)
        story.__dict__.update(Story(new, etag="").__dict__)
        result = self.pull("mute")
        self.assert_pulled(result, path, new)
        self.assertIn("the file changed on the server", result[2])

    def test_changes_without_etag_and_no_retries(self):
        old, new = model(2, 1), model(2, 2)
        story, path = self.tell("stuck", old, break_after=[MIB], etag="")
        self.assert_failed(self.pull("stuck", "--retries", "0"), path)
        story.__dict__.update(Story(new, etag="").__dict__)
        self.assert_failed(self.pull("stuck", "--retries", "0"), path, "the file changed on the server")
        self.assert_pulled(self.pull("stuck", "--retries", "0"), path, new)

    def test_shrinks_and_no_retries(self):
        old, new = model(2, 1), model(1, 2)
        story, path = self.tell("shrunk", old, break_after=[MIB + 1], etag="")
        self.assert_failed(self.pull("shrunk", "--retries", "0"), path)
        story.__dict__.update(Story(new, etag="").__dict__)
        self.assert_failed(self.pull("shrunk", "--retries", "0"), path, "the file changed on the server")
        self.assert_pulled(self.pull("shrunk", "--retries", "0"), path, new)

    def test_nothing_to_hold_on_to(self):
        old, new = model(2, 1), model(2, 2)
        story, path = self.tell("loose", old, break_after=[MIB], etag="", state_sha256=False, tree=[])
        self.assert_failed(self.pull("loose", "--retries", "0"), path)
        story.__dict__.update(Story(new, etag='W/"weak"', state_sha256=False, tree=[]).__dict__)
        self.server.stories["/api/models/own/model/"] = Story(tree=[])
        self.assert_pulled(self.pull("loose"), path, new)
        self.assertEqual(story.log[0][1], None, "it begins anew")

    def test_complete_part(self):
        body = model(1)
        story, path = self.tell("ready", body, break_after=[MIB - 1])
        self.assert_failed(self.pull("ready", "--retries", "0"), path)
        with self.part_of(path).open("ab") as part:
            part.write(body[-1:])
        self.assert_pulled(self.pull("ready"), path, body)
        self.assertEqual([entry[1] for entry in story.log], [None, f"bytes={MIB}-"])

    def test_stalls(self):
        body = model(1)
        story, path = self.tell("slow", body, stall_after=[MIB // 2])
        started = time.monotonic()
        result = self.pull("slow", "--timeout", "2")
        self.assert_pulled(result, path, body)
        self.assertLess(time.monotonic() - started, 18)
        self.assertEqual(story.log[1][1], f"bytes={MIB // 2}-")

    def test_gives_up(self):
        _, path = self.tell("down", model(1), statuses=[(500, ())] * 9)
        self.assert_failed(self.pull("down", "--retries", "1"), path, "status 500")

    def test_interrupted(self):
        body = model(8)
        story, path = self.tell("ctrl-c", body, pace=0.1)
        process = self.start("pull", "hf:own/model:ctrl-c.gguf")
        while not self.part_of(path).exists() or self.part_of(path).stat().st_size < MIB:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(err, r"interrupted; the \d\.\d MB that came are kept")
        had = self.part_of(path).stat().st_size
        story.pace = 0
        self.assert_pulled(self.pull("ctrl-c"), path, body)
        self.assertEqual(story.log[1][1], f"bytes={had}-")

    def test_killed(self):
        body = model(4)
        story, path = self.tell("killed", body, pace=0.2)
        for _ in range(3):
            process = self.start("pull", "hf:own/model:killed.gguf")
            time.sleep(0.3)
            process.kill()
            process.communicate()
            self.assertFalse(path.exists())
        story.pace = 0
        self.assert_pulled(self.pull("killed"), path, body)

    def test_two_at_once(self):
        body = model(4)
        story, path = self.tell("shared", body, pace=1)
        first = self.start("pull", "hf:own/model:shared.gguf")
        while not self.part_of(path).exists() or self.part_of(path).stat().st_size == 0:
            time.sleep(0.02)
        second = self.start("pull", "hf:own/model:shared.gguf")
        self.assertIn("another tern is fetching this file", second.stderr.readline())
        story.pace = 0
        out, err = second.communicate(timeout=60)
        self.assert_pulled((second.returncode, out, err), path, body)
        self.assertEqual(first.wait(60), 0)
        first.communicate()
        self.assertEqual(len(story.log), 1)

    # ---- Refusals -------------------------------------------------------------------------------------------------

    def test_refusals(self):
        story, path = self.tell("closed", model(1), statuses=[(401, ())])
        self.assert_failed(self.pull("closed"), path, "(401)", "Set HF_TOKEN", "accept its licence")
        story.statuses = [(403, ())]
        self.assert_failed(self.pull("closed", env={"HF_TOKEN": "secret"}), path, "(403)", "token in HF_TOKEN")
        story.statuses = [(404, ())]
        self.assert_failed(self.pull("closed"), path, "no such file", "(404)")
        self.assertEqual(len(story.log), 3, "no attempt is repeated")
        self.assertEqual(list(self.cache.iterdir()), [], "nothing is left of what never began")

    def test_too_many_requests(self):
        body = model(1)
        story, path = self.tell("busy", body, statuses=[(429, [("Retry-After", "2")])])
        started = time.monotonic()
        result = self.pull("busy")
        self.assert_pulled(result, path, body)
        self.assertGreaterEqual(time.monotonic() - started, 1.9)
        self.assertIn("(429); trying again in 2 s", result[2])
        path.unlink()
        story.statuses = [(429, [("Retry-After", "4000")])]
        self.assert_failed(self.pull("busy"), path, "429", "wait 4000 seconds")

    def test_nobody_there(self):
        result = self.run_tern("pull", "hf:own/model:x.gguf", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
        self.assert_failed(result, self.cache / "x", "127.0.0.1")

    def test_wrong_bytes(self):
        _, path = self.tell("wrong", model(1), sha256="1" * 64)
        self.assert_failed(self.pull("wrong"), path, "1" * 64 + " was expected", "thrown away")
        self.assert_nothing_left(path)

    def test_no_model(self):
        _, path = self.tell("page", b"<!DOCTYPE html>" * 100)
        self.assert_failed(self.pull("page"), path, "no GGUF file")
        self.assert_nothing_left(path)

    def test_wrong_length(self):
        body = model(1)
        _, path = self.tell("short", body, length=len(body) + 100, linked_size=None)
        self.assert_failed(self.pull("short", "--retries", "0"), path, "1048576 of 1048676 bytes came")
        _, path = self.tell("other-size", body, linked_size=len(body) - 5)
        self.assert_failed(self.pull("other-size"), path, "offers 1048576 bytes", "states 1048571")
        _, path = self.tell("empty", b"")
        self.assert_failed(self.pull("empty"), path, "empty")

    def test_hostile_headers(self):
        _, path = self.tell("huge", model(1), headers=[("X-Noise", "n" * 30000)] * 4)
        self.assert_failed(self.pull("huge"), path, "64 KiB of headers")

    def test_endless_pages(self):
        for status, headers in ((404, ()), (302, [("Location", "/behind/endless")])):
            _, path = self.tell("endless", model(1), statuses=[(status, headers)], endless=True)
            self.assert_failed(self.pull("endless"), path, f"status {status} and more than 1024 KiB of text")

    # ---- Redirects and the token ----------------------------------------------------------------------------------

    def test_redirect_same_host(self):
        body = model(1)
        story, path = self.tell("moved", body, redirect="/behind/moved")
        self.assert_pulled(self.pull("moved", env={"HF_TOKEN": "secret"}), path, body)
        self.assertEqual([entry[3] for entry in story.log], ["Bearer secret", "Bearer secret"])

    def test_redirect_other_host(self):
        body = model(1)
        behind, _ = self.tell("away", body, server=self.other)
        for address in (f"{self.other.address}/behind/away", self.other.address.replace("127.0.0.1", "localhost") + "/away"):
            story, path = self.tell("away", body, redirect=address)
            behind.log.clear()
            self.assert_pulled(self.pull("away", "--force", env={"HF_TOKEN": "secret"}), path, body)
            self.assertEqual(story.log[0][3], "Bearer secret")
            self.assertEqual([entry[3] for entry in behind.log], [None], "the token must not leave the hub")

    def test_token_stays_with_the_hub(self):
        body = model(1)
        story, _ = self.tell("foreign", body, server=self.other)
        code, _, err = self.run_tern("pull", f"{self.other.address}/foreign.gguf", env={"HF_TOKEN": "secret"})
        self.assertEqual((code, story.log[0][3]), (0, None), err)

    def test_token_with_the_end_of_a_line(self):
        story, path = self.tell("lined", model(1))
        self.assert_failed(self.pull("lined", env={"HF_TOKEN": "secret\n"}), path, "HF_TOKEN holds")
        self.assertEqual(story.log, [])

    def test_redirects_without_end(self):
        story, path = self.tell("loop", model(1), redirect="/own/model/resolve/main/loop.gguf")
        self.assert_failed(self.pull("loop"), path, "more than 10 redirects")
        self.assertEqual(len(story.log), 11)

    def test_redirect_to_a_file(self):
        for address in ("file:///etc/passwd", "ftp://127.0.0.1/x.gguf", "gopher://127.0.0.1/x"):
            _, path = self.tell("local", model(1), redirect=address)
            self.assert_failed(self.pull("local"), path, "does not follow")

    def test_https(self):
        certificate = pathlib.Path(self.folder.name) / "certificate.pem"
        if not shutil.which("openssl"):
            self.skipTest("there is no openssl to make a certificate")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", certificate, "-out", str(certificate) + ".crt"], check=True, capture_output=True)
        with certificate.open("ab") as both:
            both.write(pathlib.Path(str(certificate) + ".crt").read_bytes())
        hub = Server(certificate)
        self.addCleanup(hub.close)
        body = model(1)
        story, path = self.tell("sealed", body, server=hub)
        hub_of = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "secret"}
        self.assert_failed(self.pull("sealed", env=hub_of), path, "SSL certificate problem")
        self.assertEqual(story.log, [])
        trusting = {**hub_of, "SSL_CERT_FILE": str(certificate)}
        story.redirect = f"{self.other.address}/behind/sealed"
        self.assert_failed(self.pull("sealed", env=trusting), path, "not https")
        story.redirect = None
        self.assert_pulled(self.pull("sealed", env=trusting), path, body)
        self.assertEqual(story.log[-1][3], "Bearer secret")

    # ---- Names ----------------------------------------------------------------------------------------------------

    def test_hostile_names(self):
        for name in ("hf:own/model:../../../escape.gguf", "hf:own/model:/etc/x.gguf", "hf:../..:x.gguf",
                     "hf:own/model:a\x1b[2J.gguf", "hf:own/model:.hidden.gguf", "hf:own/model:x.txt", "hf:own",
                     "file:///etc/passwd", "ftp://host/x.gguf", "http://user:word@127.0.0.1/x.gguf", "https://"):
            code, out, _ = self.run_tern("pull", name)
            self.assertEqual((code, out), (1, ""), name)
        self.assertEqual(list(pathlib.Path(self.folder.name).iterdir()), [])

    def test_hostile_address(self):
        body = model(1)
        self.tell("evil", body)
        for path in ("/%2e%2e/%2e%2e/evil.gguf", "/a/..%2f..%2fevil.gguf", "/.ssh/evil.gguf", "/a;b$(c)/evil.gguf"):
            code, out, err = self.run_tern("pull", self.server.address + path)
            self.assertEqual(code, 0, err)
            kept = pathlib.Path(out.strip())
            self.assertTrue(kept.resolve().is_relative_to(self.cache.resolve()), out)
            self.assertRegex(out.removeprefix(str(self.cache)), r"^(/[A-Za-z0-9_=+@,~-][A-Za-z0-9._=+@,~-]*)+\n$")

    def test_list_of_files(self):
        body = model(1)
        tree = Story(tree=[{"type": "directory", "path": "d"}, {"type": "file", "path": "README.md"},
                           {"type": "file", "path": "one.gguf"}])
        self.server.stories["/api/models/own/model/"] = tree
        _, path = self.tell("one", body)
        self.assert_pulled(self.run_tern("pull", "hf:own/model"), path, body)
        tree.tree.append({"type": "file", "path": "two.gguf"})
        code, _, err = self.run_tern("pull", "hf:own/model")
        self.assertEqual(code, 1)
        self.assertIn("holds 2 models", err)
        self.assertIn("two.gguf", err)
        for broken in (b"{", b"{}", [{"type": "file"}], [{"type": "file", "path": "../x.gguf"}], b"[" * 100000,
                       b'[{"type":"file","path":"' + b"x" * 9000000 + b'"}]'):
            tree.tree = broken
            code, out, err = self.run_tern("pull", "hf:own/model")
            self.assertEqual((code, out), (1, ""), err)

    def test_split(self):
        parts = [model(0.2, seed) for seed in range(3)]
        for i, body in enumerate(parts, 1):
            self.tell(f"big-0000{i}-of-00003", body)
        _, first = self.tell("big-00001-of-00003", parts[0])
        code, out, err = self.run_tern("pull", "hf:own/model:big-00002-of-00003.gguf")
        self.assertEqual((code, out), (0, f"{first}\n"), err)
        for i, body in enumerate(parts, 1):
            self.assertTrue((first.parent / f"big-0000{i}-of-00003.gguf").read_bytes() == body)
        code, out, _ = self.run_tern("list", "--json")
        listed = json.loads(out)["models"]
        self.assertEqual([(m["parts"], m["bytes"]) for m in listed], [(3, sum(map(len, parts)))])
        self.assertEqual(self.run_tern("rm", "--yes", "hf:own/model:big-00001-of-00003.gguf")[0], 0)
        self.assertFalse((self.cache / "hub").exists())

    # ---- The disk -------------------------------------------------------------------------------------------------

    def test_no_space(self):
        _, path = self.tell("vast", model(1), length=1 << 60)
        self.assert_failed(self.pull("vast"), path, "MB are needed", "MB free")
        self.assert_nothing_left(path)

    def test_full_disk(self):
        body = model(2)
        story, path = self.tell("full", body)

        def bound():
            resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

        self.assert_failed(self.pull("full", preexec_fn=bound), path, "the disk is full")
        self.assertEqual(self.part_of(path).stat().st_size, MIB)
        self.assert_pulled(self.pull("full"), path, body)
        self.assertEqual(story.log[1][1], f"bytes={MIB}-")

    def test_cache_cannot_be_written(self):
        _, path = self.tell("locked", model(1))
        (pathlib.Path(self.folder.name) / "tern").write_text("a file is in the way")
        self.assert_failed(self.pull("locked"), self.cache / "hub", str(self.cache))
        self.cache.unlink()
        self.cache.mkdir(mode=0o555)
        os.chmod(self.folder.name, 0o755)
        nobody = {} if os.geteuid() else {"user": 65534, "group": 65534, "extra_groups": []}
        try:
            result = self.pull("locked", **nobody)
        except PermissionError:
            self.skipTest("another user may not run the program where it lies")
        self.assert_failed(result, path, str(self.cache), "Permission denied")

    # ---- What is there --------------------------------------------------------------------------------------------

    def test_list_and_rm(self):
        code, out, _ = self.run_tern("list")
        self.assertEqual(code, 0)
        self.assertIn("no model in", out)
        self.assertIn("ternary-bonsai-4b ", out)
        body = model(1)
        _, path = self.tell("Bonsai-4B-Q1_0", body)
        path = self.cache / "hub/prism-ml/Bonsai-4B-gguf/Bonsai-4B-Q1_0.gguf"
        self.assert_pulled(self.run_tern("pull", "bonsai-4b"), path, body)
        half = Story(body, break_after=[1000])
        self.server.stories["half"] = half
        self.pull("half", "--retries", "0")
        listed = {m["name"]: m for m in json.loads(self.run_tern("list", "--json")[1])["models"]}
        self.assertEqual(set(listed), {"bonsai-4b", "hf:own/model:half.gguf"})
        self.assertEqual(listed["bonsai-4b"]["file"], str(path))
        self.assertEqual((listed["bonsai-4b"]["bytes"], listed["bonsai-4b"]["partial"]), (len(body), False))
        self.assertLess(abs(listed["bonsai-4b"]["last_use"] - time.time()), 60)
        self.assertTrue(listed["hf:own/model:half.gguf"]["partial"])
        text = self.run_tern("list")[1]
        self.assertRegex(text, r"bonsai-4b +1\.0 MB +\S+ +\d{4}-\d\d-\d\d  /")

        self.assertEqual(self.run_tern("rm", "bonsai-4b")[0], 1, "nobody is there to ask")
        self.assertTrue(path.exists())
        code, out, _ = self.run_tern("rm", "--partial", "--yes")
        self.assertEqual(code, 0)
        self.assertIn("half.gguf.part", out)
        self.assertFalse((self.cache / "hub/own").exists())
        self.assertEqual(self.run_tern("rm", "bonsai-4b", "--yes")[0], 0)
        self.assertFalse((self.cache / "hub").exists())
        self.assertIn("not in", self.run_tern("rm", "bonsai-4b", "--yes")[2])

    def test_rm_stays_inside(self):
        outside = pathlib.Path(self.folder.name) / "precious.gguf"
        outside.write_bytes(b"GGUF")
        self.cache.mkdir()
        (self.cache / "link").symlink_to(self.folder.name)
        for name in (str(outside), "../precious.gguf", f"{self.cache}/../precious.gguf", "link/precious.gguf", "/", ".."):
            code, _, err = self.run_tern("rm", "--yes", name)
            self.assertEqual(code, 1, name)
            self.assertIn("not in", err)
        self.assertTrue(outside.exists())

    def test_rm_of_what_is_being_fetched(self):
        story, path = self.tell("running", model(4), pace=1)
        process = self.start("pull", "hf:own/model:running.gguf")
        while not self.part_of(path).exists() or self.part_of(path).stat().st_size == 0:
            time.sleep(0.02)
        code, _, err = self.run_tern("rm", "--partial", "--yes")
        self.assertEqual(code, 1)
        self.assertIn("another tern is fetching it", err)
        story.pace = 0
        self.assertEqual(process.wait(60), 0)
        process.communicate()

    # ---- Names where a model is wanted ----------------------------------------------------------------------------

    def test_names_in_other_commands(self):
        body = (GOLDEN / "chain.gguf").read_bytes()
        _, path = self.tell("chain", body)
        name = "hf:own/model:chain.gguf"
        packed, text = str(self.cache.parent / "packed.gguf"), str(self.cache.parent / "text")
        pathlib.Path(text).write_text("I am a very tiny model. " * 40)
        more = {"run": ["x"], "tokenize": ["x"], "pack": [packed, "--type", "F16"], "verify": [name],
                "perplexity": ["-f", text, "-c", "8"]}
        for command in ("run", "info", "tokenize", "size", "pack", "verify", "perplexity"):
            code, out, err = self.run_tern(command, name, *more.get(command, []))
            self.assertEqual((code, out), (1, ""))
            self.assertIn(f"fetch it with: tern pull {name}", err)
        self.assert_pulled(self.pull("chain"), path, body)
        self.assertIn(str(path), self.run_tern("info", name)[1])
        self.assertIn(str(path), self.run_tern("info", "hf:own/model")[1], "the only file of its repository")
        self.assertEqual(self.run_tern("run", name, "--raw", "a", "-n", "1")[0], 0)
        for command in ("size", "pack", "verify", "perplexity"):
            result = self.run_tern(command, name, *more.get(command, []))
            self.assertEqual(result[0], 0, result)
        self.assertEqual(self.run_tern("verify", name, packed)[1].split("\n")[0], "equal")
        self.assertIn("did you mean the model 'bonsai-4b'", self.run_tern("info", "bonsai-4c")[2])

    def test_asks_at_a_terminal(self):
        body = (GOLDEN / "chain.gguf").read_bytes()
        _, path = self.tell("asked", body)
        for answer, there in (("n", False), ("y", True)):
            text = self.talk(["info", "hf:own/model:asked.gguf"], "[Y/n]", answer)
            self.assertEqual(path.exists(), there, text)
        text = self.talk(["rm", "hf:own/model:asked.gguf"], "[y/N]", "n")
        self.assertTrue(path.exists(), text)
        text = self.talk(["rm", "hf:own/model:asked.gguf"], "[y/N]", "y")
        self.assertFalse(path.exists(), text)

    def test_progress_at_a_terminal(self):
        self.tell("watched", model(4), pace=0.03)
        text = self.talk(["pull", "hf:own/model:watched.gguf"], None, None)
        self.assertRegex(text, r"\d+ %  \d\.\d MB of 4\.2 MB, \d+\.\d MB/s, \S+ s left")

    def talk(self, words, question, answer):
        process, terminal = pty.fork()
        if process == 0:
            os.execve(TERN, [TERN, *words], self.environment())
        text = b""
        while select.select([terminal], [], [], 60)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            text += piece
            if question and question.encode() in text:
                os.write(terminal, answer.encode() + b"\n")
                question = None
        os.close(terminal)
        os.waitpid(process, 0)
        return text.decode(errors="replace")


def run_one(test):
    result = unittest.TestResult()
    started = time.monotonic()
    test.run(result)
    return test, result, time.monotonic() - started


def main():
    """All tests, or those whose names are given; several at once, because most of them wait."""
    wanted = sys.argv[1:]
    tests = [test for test in unittest.defaultTestLoader.loadTestsFromTestCase(Hub)
             if not wanted or any(word in test.id() for word in wanted)]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for test, result, seconds in pool.map(run_one, tests):
            faults = result.failures + result.errors
            words = "FAILED" if faults else f"skipped: {result.skipped[0][1]}" if result.skipped else "ok"
            print(f"{test.id().split('.')[-1]:40} {seconds:5.1f} s  {words}")
            for _, fault in faults:
                print(fault)
            failures += bool(faults)
    print(f"{len(tests) - failures} of {len(tests)} passed")
    return 1 if failures or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
