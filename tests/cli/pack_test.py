#!/usr/bin/env python3
"""tern pack when something goes wrong while it works: nothing lost, nothing half-made, a clear message. Python's
standard library only.

    pack_test.py TERN [words in names of tests]
"""

import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TERN = os.path.abspath(sys.argv.pop(1))
MIB = 1 << 20
NOBODY = 65534


def write_model(path, rows, columns=4096, n_matrices=2):
    """A file of F16 zeros, which take no room on the disk: matrices of [rows][columns] without a vocabulary."""
    string = lambda text: struct.pack("<Q", len(text)) + text.encode()
    header = b"GGUF" + struct.pack("<IQQ", 3, n_matrices, 1)
    header += string("general.architecture") + struct.pack("<I", 8) + string("llama")
    size = 2 * rows * columns
    for i in range(n_matrices):
        header += string(f"blk.{i}.ffn_up.weight") + struct.pack("<IQQIQ", 2, columns, rows, 1, i * size)
    with open(path, "wb") as file:
        file.write(header + bytes(-len(header) % 32))
        file.truncate(file.tell() + n_matrices * size)


class Pack(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.input, self.output = self.folder / "in.gguf", self.folder / "out.gguf"

    def start(self, *words, **options):
        return subprocess.Popen([TERN, "pack", str(self.input), str(self.output), "--type", "PTQ1_0", *words],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "LANG": "C"}, **options)

    def assert_failed(self, process, *words, code=1):
        out, err = process.communicate(timeout=100)
        self.assertEqual((process.returncode, out), (code, ""), err)
        for word in words:
            self.assertIn(word, err)

    def wait_until_it_writes(self, number):
        """Until bytes are in the output, which has no name yet: it is an open file of process `number`."""
        if not os.path.isdir("/proc/self/fd"):
            self.skipTest("what a process has open cannot be seen here")
        while True:
            for entry in pathlib.Path(f"/proc/{number}/fd").iterdir():
                try:
                    path, size = os.readlink(entry), entry.stat().st_size
                except OSError:
                    continue
                if path.startswith(str(self.folder)) and path != str(self.input) and size > MIB:
                    return
            time.sleep(0.002)

    def test_the_input_becomes_shorter(self):
        write_model(self.input, 32768)
        self.output.write_text("old")
        process = self.start("--force")
        self.wait_until_it_writes(process.pid)
        os.truncate(self.input, MIB)
        self.assert_failed(process, "in.gguf: the file became shorter", "nothing was written")
        self.assertEqual(self.output.read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["in.gguf", "out.gguf"])

    def test_interrupted(self):
        write_model(self.input, 32768)
        process = self.start()
        self.wait_until_it_writes(process.pid)
        process.send_signal(signal.SIGINT)
        self.assert_failed(process, code=130)
        self.assertEqual(os.listdir(self.folder), ["in.gguf"])

    def test_a_folder_that_may_not_be_written(self):
        write_model(self.input, 64)
        locked = self.folder / "locked"
        locked.mkdir()
        self.folder.chmod(0o755)
        locked.chmod(0o555)
        self.output = locked / "out.gguf"
        ids = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self.assert_failed(self.start(**ids), "out.gguf: cannot create: Permission denied")
        self.assertEqual(os.listdir(locked), [])

    def start_on_small_disk(self, kibibytes):
        """Packs onto a disk of that size, which is gone when the process is; it first prints the number of tern's."""
        if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
            self.skipTest("a disk of its own cannot be made here")
        small = self.folder / "small"
        small.mkdir()
        script = (f"mount -t tmpfs -o size={kibibytes}k none {small} && cd {small} && echo old > out.gguf && "
                  f"{{ '{TERN}' pack {self.input} out.gguf --type F32 --force & echo $!; wait $!; code=$?; }} && "
                  "head -c 100 out.gguf; ls; exit $code")
        return subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def assert_disk_left_alone(self, process, files, words):
        out, err = process.communicate(timeout=100)
        self.assertIn(words, err)
        self.assertEqual((process.returncode, out), (1, f"old\n{files}"))

    def test_a_disk_too_small(self):
        write_model(self.input, 256)
        process = self.start_on_small_disk(1024)
        process.stdout.readline()
        self.assert_disk_left_alone(process, "out.gguf\n", "needs 8.0 MiB, the disk has 1.0 MiB left")

    def test_a_disk_that_fills_up(self):
        write_model(self.input, 4096)  # 128 MiB in F32
        process = self.start_on_small_disk(160 << 10)
        tern = int(process.stdout.readline())
        self.wait_until_it_writes(tern)
        os.kill(tern, signal.SIGSTOP)
        with open(f"/proc/{tern}/cwd/taken", "wb") as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(MIB))
                file.flush()
        os.kill(tern, signal.SIGCONT)
        self.assert_disk_left_alone(process, "out.gguf\ntaken\n", "out.gguf: cannot write: No space left on device")

    def test_memory(self):
        """Half a gigabyte of floats goes through in a tenth of it."""
        write_model(self.input, 32768)
        process = self.start("--quiet", "--threads", "2")
        process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        self.assertEqual(status, 0)
        self.assertLess(usage.ru_maxrss, 60 << 10)


def main():
    wanted = sys.argv[1:]
    tests = [test for test in unittest.defaultTestLoader.loadTestsFromTestCase(Pack)
             if not wanted or any(word in test.id() for word in wanted)]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(tests))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
