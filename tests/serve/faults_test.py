#!/usr/bin/env python3
"""tern serve while memory fails: one allocation after the other of those that a request makes. Whatever fails, the
request is answered as ever, or with an error of the server's, or its connection ends; the next one is answered right.

    faults_test.py TERN FAULTS.so [words in names of tests]
"""

import contextlib
import http.client
import json
import mmap
import os
import struct
import sys
import unittest

from server import Answer, Models, Server

TERN, FAULTS = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))
# What is another each time; of the prompt's tokens some may have been computed again.
FLEETING = ("id", "call_id", "item_id", "created", "created_at", "completed_at", "cached_tokens", "input_tokens",
            "cache_read_input_tokens")
NEVER = 1 << 60


class Memory:
    """The page that tests/support/faults.c looks at."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def fail(self, first, last):
        self.rest()
        self.page[8:32] = struct.pack("=QQQ", 0, first, last)
        self.page[:8] = struct.pack("=Q", 1)

    def rest(self):
        """All is well again. Returns how many allocations there were."""
        self.page[:8] = bytes(8)
        return struct.unpack("=Q", self.page[8:16])[0]


def lasting(value):
    if isinstance(value, dict):
        return {name: lasting(item) for name, item in value.items() if name not in FLEETING}
    return [lasting(item) for item in value] if isinstance(value, list) else value


def meaning(answer):
    """What an answer says, without what is another each time."""
    if answer.headers["Content-Type"] == "application/json":
        return lasting(answer.json())
    if answer.headers["Content-Type"] != "text/event-stream":
        return answer.body
    events = [block.split("data: ", 1) for block in answer.body.decode().split("\n\n") if block and block[0] != ":"]
    return [(name, data if data == "[DONE]" else lasting(json.loads(data))) for name, data in events]


def tells_of_failure(said):
    """An error's JSON, or a stream that ends with one."""
    if isinstance(said, list):
        said = said[-1][1] if said else None
    return isinstance(said, dict) and (isinstance(said.get("error"), dict) or
                                       isinstance(said.get("response", {}).get("error"), dict))


class Faults(unittest.TestCase):
    def sweep(self, model, path, body, step=1, ends=(False, True)):
        """Each allocation of a request fails, alone, or with all that follow."""
        memory = Memory(os.path.join(Models.get(), "faults"))
        with Server(TERN, Models.get(), model, "--parallel", "2",
                    environment={"LD_PRELOAD": FAULTS, "TERN_FAULTS": memory.path}) as server:
            ask = lambda: self.ask(server, path, body)
            ask()  # what it begins with is remembered from here on
            right = ask()
            memory.fail(NEVER, NEVER)
            ask()
            count = memory.rest()
            self.assertGreater(count, 5)
            for number in range(1, count + 1, step):
                last = NEVER if ends[number // step % len(ends)] else number
                with self.subTest(path=path, number=number, last=last):
                    memory.fail(number, last)
                    answer = ask()
                    memory.rest()
                    self.assertIsNone(server.process.poll(), "the server died")
                    self.check(answer, right)
                    after = ask()
                    self.assertEqual((after.status, meaning(after)), (right.status, meaning(right)))
            self.check_at_rest(server)

    @staticmethod
    def ask(server, path, body):
        """None: the connection ended before the answer did."""
        with contextlib.closing(server.connect()) as connection:
            try:
                connection.request("GET" if body is None else "POST", path, body and json.dumps(body))
                return Answer(connection.getresponse())
            except (ConnectionError, http.client.IncompleteRead):
                return None

    def check(self, answer, right):
        if answer is None:
            return
        said = meaning(answer)
        if answer.status == right.status and said == meaning(right):
            self.assertLessEqual(set(right.headers), set(answer.headers))
            return
        self.assertTrue(tells_of_failure(said), (answer.status, answer.body[-300:]))
        if answer.headers["Content-Type"] == "application/json":
            self.assertEqual(answer.status, 503, answer.body)

    def check_at_rest(self, server):
        """Nobody has a place, and all keys and values are remembered ones."""
        server.until(lambda: not server.busy_slots())
        self.assertEqual(server.metric("tern_requests_active") + server.metric("tern_requests_waiting"), 0)
        self.assertEqual(server.metric("tern_kv_bytes"), server.metric("tern_kv_bytes_remembered"))

    def test_headers(self):
        for path in ("/", "/health"):
            self.sweep("chain.gguf", path, None)


if __name__ == "__main__":
    unittest.main()
