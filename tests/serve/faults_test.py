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
import select
import struct
import subprocess
import sys
import unittest

from server import ENDLESSLY, Answer, Models, Server

import chain_model

TERN, FAULTS = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))
HELLO = [{"role": "user", "content": "Hi"}]
CALLING = ["\n", "Let", " me", " see", ".\n", "<tool_call>", "{\"name\": \"", "look", "\", \"arguments\": ", "{\"at\": ",
           "\"sky\"", "}}", "</tool_call>", "<|im_end|>"]
TOOLS = chain_model.CHATML + "{# <tool_call> {{ tools }} #}"
PLACE = {"type": "object", "properties": {"at": {"enum": ["sky", "sea"]}}, "required": ["at"],
         "additionalProperties": False}
TALK = [{"role": "system", "content": "Be \"brief\"."}, {"role": "user", "content": [{"type": "text", "text": "a\nb"}]},
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function",
                                              "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"}, {"role": "user", "content": "c"}]
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

    def count(self):
        return struct.unpack("=Q", self.page[8:16])[0]

    def rest(self):
        """All is well again. Returns how many allocations there were."""
        self.page[:8] = bytes(8)
        return self.count()


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
    def sweep(self, model, path, body, step=1, forever=False):
        """One allocation of a request fails, or all from that one on: first its first, at last its last."""
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
                last = NEVER if forever else number
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
            self.assertIn(answer.headers["Cache-Control"], (None, "no-store"), "an error would be kept")
            self.assertIsNone(answer.headers["ETag"])

    def check_at_rest(self, server):
        """Nobody has a place, and all keys and values are remembered ones."""
        server.until(lambda: not server.busy_slots())
        self.assertEqual(server.metric("tern_requests_active") + server.metric("tern_requests_waiting"), 0)
        self.assertEqual(server.metric("tern_kv_bytes"), server.metric("tern_kv_bytes_remembered"))

    def chat(self, model="chain.gguf", step=3, forever=False, **fields):
        body = {"messages": HELLO, "temperature": 0, "seed": 1, **fields}
        self.sweep(model, "/v1/chat/completions", body, step, forever)

    def test_chat(self):
        for forever in (False, True):
            self.chat(step=1, forever=forever)

    def test_talk(self):
        self.chat(step=1, messages=TALK)

    def test_probabilities(self):
        self.chat(n=2, max_tokens=4, logprobs=True, top_logprobs=2, stop=["zz"], logit_bias={"5": 1})

    def test_stream(self):
        self.chat(stream=True, stream_options={"include_usage": True})

    def test_calls(self):
        path = os.path.join(Models.get(), "calling.gguf")
        chain_model.write_model(path, chain=CALLING, template=TOOLS)
        tool = {"name": "look", "description": "looks", "parameters": PLACE}
        self.chat(path, tools=[{"type": "function", "function": tool}])
        body = {"input": "Hi", "temperature": 0, "tools": [{"type": "function", **tool}]}
        self.sweep(path, "/v1/responses", {**body, "stream": True}, step=7)
        self.sweep(path, "/v1/responses", body, step=5)
        tool = {"name": "look", "input_schema": PLACE}
        self.sweep(path, "/v1/messages", {"messages": HELLO, "max_tokens": 50, "temperature": 0, "tools": [tool]}, step=5)

    def test_constraints(self):
        form = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
        self.chat(response_format=form, max_tokens=30, step=1)
        self.chat(grammar="root ::= \"I am\" \" ok\"", max_tokens=30, step=4)

    def test_thinking(self):
        self.chat("thoughtful.gguf", reasoning_effort="high")
        self.sweep("thoughtful.gguf", "/apply-template", {"messages": HELLO, "reasoning_effort": "none",
                                                          "chat_template_kwargs": {"sky": "blue"}})

    def test_completions(self):
        self.sweep("chain.gguf", "/v1/completions", {"prompt": ["Hi", "\n"], "n": 2, "logprobs": 2, "max_tokens": 3,
                                                     "temperature": 0}, step=3)

    def test_embeddings(self):
        self.sweep("chain.gguf", "/v1/embeddings", {"input": ["Hi", "you"], "dimensions": 4}, step=2)

    def test_tokens(self):
        self.sweep("chain.gguf", "/tokenize", {"content": "I am \u00e9", "with_pieces": True})
        self.sweep("chain.gguf", "/detokenize", {"tokens": [72, 73, 74]})

    def test_headers(self):
        for path in ("/", "/health"):
            self.sweep("chain.gguf", path, None)

    def test_loading(self):
        """Two models, one of which fits: each is loaded anew, and is all there, or is loaded again when it is wanted."""
        names = ("chain", "thoughtful")
        memory = Memory(os.path.join(Models.get(), "faults"))
        room = max(os.path.getsize(os.path.join(Models.get(), f"{name}.gguf")) for name in names) + 1
        with Server(TERN, Models.get(), *(f"{name}.gguf" for name in names), "--models-memory", str(room), "--parallel",
                    "2", environment={"LD_PRELOAD": FAULTS, "TERN_FAULTS": memory.path}) as server:
            def ask(name):
                body = {"model": name, "messages": HELLO, "temperature": 0, "seed": 1}
                return self.ask(server, "/v1/chat/completions", body)
            right = {name: meaning(ask(name)) for name in names}
            memory.fail(NEVER, NEVER)
            ask(names[0])
            for number in range(1, memory.rest(), 2):
                for name in reversed(names):
                    with self.subTest(name=name, number=number):
                        memory.fail(number, number)
                        answer = ask(name)
                        memory.rest()
                        self.assertTrue(answer is None or answer.status in (500, 503) or meaning(answer) == right[name])
                        self.assertEqual(meaning(ask(name)), right[name])
            self.check_at_rest(server)

    def test_who_leaves_is_missed(self):
        """A connection that there was no memory to look after waits for no answer: nobody would see its client leave."""
        memory = Memory(os.path.join(Models.get(), "faults"))
        body = json.dumps({"messages": HELLO, "max_tokens": ENDLESSLY}).encode()
        with Server(TERN, Models.get(), "endless.gguf", "--grace", "0",
                    environment={"LD_PRELOAD": FAULTS, "TERN_FAULTS": memory.path}) as server:
            for number in range(1, 20):
                memory.fail(number, number)
                with self.subTest(number=number), contextlib.closing(server.socket()) as connection:
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                                           % len(body) + body)
                    server.until(lambda: memory.count() >= number)
                    memory.rest()
                    server.until(lambda: select.select([connection], [], [], 0)[0] or server.busy_slots())
                    connection.close()
                    server.until(lambda: not server.busy_slots())

    def test_facts(self):
        for path in ("/v1/models", "/props", "/slots"):
            self.sweep("chain.gguf", path, None)


class Run(unittest.TestCase):
    """tern run says what went wrong, and nothing by halves."""

    def run_model(self, memory, *words):
        command = [TERN, "run", os.path.join(Models.get(), "chain.gguf"), "Hi", "--temp", "0", "-t", "2", *words]
        environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": FAULTS, "TERN_FAULTS": memory.path}
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def sweep(self, said, *words):
        memory = Memory(os.path.join(Models.get(), "faults"))
        memory.fail(NEVER, NEVER)
        right = said(self.run_model(memory, *words).stdout)
        for number in range(1, memory.rest() + 1, 5):
            with self.subTest(words=words, number=number):
                memory.fail(number, number)
                result = self.run_model(memory, *words)
                memory.rest()
                if result.returncode == 0:
                    self.assertEqual(said(result.stdout), right)
                else:
                    self.assertEqual(result.returncode, 1)
                    self.assertRegex(result.stderr.decode(), "memory|cannot")

    def test_text(self):
        self.sweep(lambda output: output)

    def test_json(self):
        def said(output):
            answer = json.loads(output)
            return answer["text"], answer["tokens"], answer["finish"]
        self.sweep(said, "--json")


if __name__ == "__main__":
    unittest.main()
