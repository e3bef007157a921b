#!/usr/bin/env python3
"""Load of all kinds on one server for a while: streams and whole answers, several answers, schemas, stop strings, embeddings,
clients that leave at any moment, nonsense. Every answer that is finished must be right, no place may stay taken, and
memory must come to rest.

    stress.py TERN [SECONDS [CLIENTS]]        60 seconds and 24 clients unless told
"""

import http.client
import json
import os
import random
import re
import sys
import threading
import time

from server import SLOW, Models, Server

TERN = os.path.abspath(sys.argv[1])
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 60
CLIENTS = int(sys.argv[3]) if len(sys.argv) > 3 else 24
SENTENCE = "I am a very tiny model \u2713."


class Client(threading.Thread):
    def __init__(self, server, number, end):
        super().__init__(daemon=True)
        self.server, self.random, self.end = server, random.Random(number), end
        self.done, self.refused, self.left, self.failures = 0, 0, 0, []

    def run(self):
        while time.monotonic() < self.end and not self.failures:
            action = self.random.choice([self.whole, self.whole, self.stream, self.stream, self.several, self.schema,
                                         self.embed, self.leave, self.leave_early, self.nonsense])
            start = time.monotonic()
            try:
                action()
                took = time.monotonic() - start
                self.check(took < 20 * SLOW, action.__name__, "took", took, "seconds")
            except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
                self.failures.append(f"{action.__name__}: {error!r}")

    def check(self, right, *what):
        if not right: self.failures.append(" ".join(str(w)[:300] for w in what))

    def answer(self, answer, check):
        if answer.status == 429:
            self.refused += 1
        else:
            self.check(answer.status == 200, answer.status, answer.body)
            if answer.status == 200: check(answer.json())
            self.done += 1

    def whole(self):
        stop, text = self.random.choice([(None, SENTENCE), (" very", "I am a"), ("tin", "I am a very ")])
        self.answer(self.server.chat("Hi " * self.random.randrange(60), stop=stop),
                    lambda body: self.check(body["choices"][0]["message"]["content"] == text, body))

    def several(self):
        n = self.random.randrange(1, 5)
        self.answer(self.server.chat(n=n), lambda body: self.check(
            [choice["message"]["content"] for choice in body["choices"]] == [SENTENCE] * n, body))

    def schema(self):
        schema = {"type": "object", "properties": {"x": {"enum": ["one", "two"]}}, "required": ["x"],
                  "additionalProperties": False}
        self.answer(self.server.chat(response_format={"type": "json_schema", "json_schema": {"name": "a",
                                                                                            "schema": schema}}),
                    lambda body: self.check(json.loads(body["choices"][0]["message"]["content"])["x"] in ("one", "two"),
                                            body))

    def embed(self):
        count = self.random.randrange(1, 20)
        self.answer(self.server.post("/v1/embeddings", {"input": ["a text"] * count}),
                    lambda body: self.check(len({str(item["embedding"]) for item in body["data"]}) == 1, "rows differ"))

    def stream(self):
        answer = self.server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}],
                                                           "stream": True, "temperature": 0})
        if answer.status == 429:
            self.refused += 1
            return
        text = "".join(json.loads('"' + part + '"') for part in
                       re.findall(r'"delta":\{"content":"((?:[^"\\]|\\.)*)"', answer.body.decode()))
        self.check(text == SENTENCE and answer.body.endswith(b"data: [DONE]\n\n"), answer.status, answer.body[-400:])
        self.done += 1

    def request_bytes(self):
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": self.random.random() < 0.7,
                           "temperature": 50, "top_k": 0, "top_p": 1, "min_p": 0, "ignore_eos": True,
                           "max_tokens": 400}).encode()
        return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def leave(self):
        connection = self.server.socket()
        connection.sendall(self.request_bytes())
        connection.settimeout(self.random.random() * 0.1 + 0.001)
        try:
            connection.recv(self.random.randrange(1, 5000))
        except TimeoutError:
            pass
        connection.close()
        self.left += 1

    def leave_early(self):
        connection, data = self.server.socket(), self.request_bytes()
        connection.sendall(data[:self.random.randrange(len(data))])
        connection.close()
        self.left += 1

    def nonsense(self):
        body = bytes(self.random.randrange(256) for _ in range(self.random.randrange(200)))
        self.check(self.server.post("/v1/chat/completions", body).status == 400, body)


def main():
    with Server(TERN, Models.get(), "chain.gguf", "--parallel", "8", "--queue", "16", "--kv-memory", "8M") as server:
        start = time.monotonic()
        clients = [Client(server, number, start + SECONDS) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            time.sleep(min(10, SECONDS / 6))
            count = lambda name: sum(getattr(client, name) for client in clients)
            print(f"{time.monotonic() - start:6.0f} s: {count('done')} answered, {count('refused')} refused, "
                  f"{count('left')} left; {server.metric('process_resident_memory_bytes') / 1e6:.1f} MB", flush=True)
        failures = [failure for client in clients for failure in client.failures]
        for failure in failures[:10]:
            print("failed:", failure)
        server.until(lambda: not server.busy_slots() and server.metric("tern_requests_waiting") == 0, 10,
                     "a place stays taken")
        server.until(lambda: server.metric("tern_connections") <= 2, 10, "a connection stays open")
        server.log.clear()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
