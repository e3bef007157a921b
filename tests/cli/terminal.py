"""A pseudo-terminal for tests of what somebody sees who sits before tern. Python's standard library only."""

import errno
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

TIMEOUT = 60


class Terminal:
    """A program that believes that somebody sits before it: `Terminal(tern, folder, "run", "chain.gguf")`."""

    def __init__(self, program, folder, *arguments, **environment):
        variables = {**os.environ, "HOME": folder, "TERM": "xterm", "LANG": "C.UTF-8", **environment}
        for name in ("NO_COLOR", "XDG_STATE_HOME"):
            if name not in environment:
                variables.pop(name, None)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(program, ["tern", *arguments], variables)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.seen = ""    # everything so far
        self.unread = ""  # what no expect() has passed over yet

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            piece = b""
        text = piece.decode(errors="replace")
        self.seen += text
        self.unread += text
        return bool(piece)

    def expect(self, text):
        """Waits for text, and passes over everything up to its end. Returns what stood before it."""
        return self.expect_match(re.escape(text))

    def expect_match(self, pattern):
        """The same for a regular expression."""
        deadline = time.monotonic() + TIMEOUT
        while not (found := re.search(pattern, self.unread)):
            if not self.read(max(0, deadline - time.monotonic())):
                raise AssertionError(f"{pattern!r} did not come; what came: {self.unread!r}")
        before, self.unread = self.unread[:found.start()], self.unread[found.end():]
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def paste(self, text):
        """Types more than the terminal holds at once: what it echoes must be read in between."""
        rest = text.encode()
        while rest:
            _, writable, _ = select.select([], [self.fd], [], 0.01)
            if writable:
                rest = rest[os.write(self.fd, rest[:1000]):]
            while self.read(0):
                pass

    def prompt(self, text="> "):
        """Waits for the prompt, and until keys come one by one: the program prints the one before it does the other."""
        self.expect(text)
        deadline = time.monotonic() + TIMEOUT
        while termios.tcgetattr(self.fd)[3] & termios.ICANON and time.monotonic() < deadline:
            time.sleep(0.01)

    def line(self, text):
        """Types a line once the prompt is there."""
        self.prompt()
        self.type(text + "\n")

    def wait(self):
        """The exit code; -N if signal N ended it."""
        deadline = time.monotonic() + TIMEOUT
        while self.read(max(0, deadline - time.monotonic())):
            pass
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)
