#!/usr/bin/env python3
"""Load of all kinds on one server for a while: streams and whole answers in every API's form, several answers, long prompts,
schemas, tools, stop strings, embeddings, clients that leave at any moment, nonsense; prompts are remembered on disk too.
Every answer that is finished must be right, no place may stay taken, and memory must come to rest.

    stress.py TERN                                  a minute, 24 clients, a tiny model whose answers are known
    stress.py TERN -m A.gguf -m B.gguf --seconds 3600 --rate 3 --words 300 -- -c 2048 --kv-memory 64M --cache-dir-size 64M

Words after -- are options of the server; with --models-memory models come and go, and with them more memory than the
judgement at the end allows for. At most once a minute it prints what was asked and what the server takes:
resident memory, the part of it that is no file's (which is what is judged: pages of a model's file come and go), open files,
threads, the share of a processor since the last line. At the end it says how memory grew after the first tenth of the time:
the slope of a least-squares line, and the most of the last quarter against the most of the second.
Exit code: 0, or 1 if an answer was wrong or memory grew by more than 2 MiB and 2 % from the second quarter to the last.
"""

import argparse
import http.client
import json
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time

from server import SLOW, Models, Server

SENTENCE = "I am a very tiny model \u2713."
SCHEMA = {"type": "object", "properties": {"x": {"enum": ["one", "two"]}}, "required": ["x"], "additionalProperties": False}
MIB = 1 << 20


class Client(threading.Thread):
    def __init__(self, server, number, end, args):
        super().__init__(daemon=True)
        self.server, self.random, self.end = server, random.Random(number), end
        self.models = [os.path.basename(path)[:-len(".gguf")] for path in args.model] or ["chain"]
        self.known = not args.model  # then the likeliest answer is SENTENCE
        self.seconds_between = args.clients / args.rate if args.rate else 0
        self.longest = args.words
        self.done, self.refused, self.left, self.failures = 0, 0, 0, []

    def run(self):
        actions = [self.whole, self.whole, self.stream, self.stream, self.several, self.schema, self.tool, self.dialect,
                   self.embed, self.leave, self.leave_early, self.nonsense, self.wrong, self.page]
        while not self.failures and self.pause():
            action = self.random.choice(actions)
            start = time.monotonic()
            try:
                action()
                took = time.monotonic() - start
                self.check(took < 60 * SLOW, action.__name__, "took", took, "seconds")
            except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
                self.failures.append(f"{action.__name__}: {error!r}")

    def pause(self):
        """Whether there is time for another request, once it is time for it."""
        seconds = self.random.expovariate(1 / self.seconds_between) if self.seconds_between else 0
        time.sleep(max(0, min(seconds, self.end - time.monotonic())))
        return time.monotonic() < self.end

    # ---- Asking -------------------------------------------------------------------------------------------------------

    def check(self, right, *what):
        if not right:
            self.failures.append(" ".join(str(w)[:300] for w in what))

    def ask(self, path, check, **fields):
        answer = self.server.post(path, {"model": self.random.choice(self.models), **fields})
        if answer.status == 429:
            self.refused += 1
            return
        self.check(answer.status == 200, path, answer.status, answer.body)
        if answer.status == 200:
            check(answer)
        self.done += 1

    def chat(self, check, words=1, **fields):
        text = " ".join(self.random.choice(("Hi", "hi")) for _ in range(words))
        self.ask("/v1/chat/completions", check, messages=[{"role": "user", "content": text}], temperature=0,
                 max_tokens=40, **fields)

    def said(self, answer, expected):
        """The texts of a whole answer are as expected, where that is known."""
        texts = [choice["message"]["content"] for choice in answer.json()["choices"]]
        self.check(texts == expected if self.known else len(texts) == len(expected), answer.body)

    def fits(self, text, finish):
        self.check(finish == "length" or json.loads(text)["x"] in ("one", "two"), text)

    # ---- What clients do ----------------------------------------------------------------------------------------------

    def whole(self):
        stop, text = self.random.choice([(None, SENTENCE), (" very", "I am a"), ("tin", "I am a very ")])
        self.chat(lambda answer: self.said(answer, [text]), self.random.randrange(1, self.longest), stop=stop)

    def several(self):
        n = self.random.randrange(1, 5)
        self.chat(lambda answer: self.said(answer, [SENTENCE] * n), n=n)

    def schema(self):
        def check(answer):
            choice = answer.json()["choices"][0]
            self.fits(choice["message"]["content"], choice["finish_reason"])
        self.chat(check, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}})

    def tool(self):
        def check(answer):
            choice = answer.json()["choices"][0]
            for call in choice["message"].get("tool_calls", []):
                self.fits(call["function"]["arguments"], choice["finish_reason"])
        self.chat(check, tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
                  tool_choice="required")

    def stream(self):
        def check(answer):
            text = "".join(json.loads('"' + part + '"') for part in
                           re.findall(r'"delta":\{"content":"((?:[^"\\]|\\.)*)"', answer.body.decode()))
            self.check((text == SENTENCE or not self.known) and answer.body.endswith(b"data: [DONE]\n\n"),
                       answer.body[-400:])
        self.chat(check, stream=True)

    def dialect(self):
        if self.random.random() < 0.5:
            self.ask("/v1/responses", lambda answer: self.check(b"response.completed" in answer.body or
                                                                b"response.incomplete" in answer.body, answer.body[-400:]),
                     input="Hi", max_output_tokens=40, stream=True)
        else:
            self.ask("/v1/messages", lambda answer: self.check(b"message_stop" in answer.body, answer.body[-400:]),
                     messages=[{"role": "user", "content": "Hi"}], max_tokens=40, stream=True)

    def embed(self):
        count = self.random.randrange(1, 20)
        self.ask("/v1/embeddings", lambda answer: self.check(
            len({str(item["embedding"]) for item in answer.json()["data"]}) == 1, "rows differ"), input=["a text"] * count)

    def request_bytes(self):
        body = json.dumps({"model": self.random.choice(self.models), "messages": [{"role": "user", "content": "Hi"}],
                           "stream": self.random.random() < 0.7, "temperature": 50, "top_k": 0, "top_p": 1, "min_p": 0,
                           "ignore_eos": True, "max_tokens": 400}).encode()
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

    def wrong(self):
        """A type, a schema, a grammar that cannot be; a prompt that no context holds."""
        message = {"messages": [{"role": "user", "content": "Hi"}], "model": self.random.choice(self.models)}
        fields = self.random.choice([{"messages": 5}, {"temperature": "hot"}, {"grammar": "root ::= ("},
                                     {"response_format": {"type": "json_schema", "json_schema": {
                                         "name": "a", "schema": {"type": "nothing"}}}},
                                     {"messages": [{"role": "user", "content": "Hi " * 100000}]}])
        answer = self.server.post("/v1/chat/completions", {**message, **fields})
        self.check(answer.status in (400, 429) and answer.error()["message"], str(fields)[:100], answer.status, answer.body)

    def page(self):
        for path in ("/", "/metrics", "/props", "/slots", "/nowhere"):
            answer = self.server.get(path)
            self.check(answer.status == (404 if path == "/nowhere" else 200), path, answer.status)


# ---- What the server takes --------------------------------------------------------------------------------------------


def least_squares_slope(points):
    x_mean, y_mean = (statistics.fmean(values) for values in zip(*points))
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x, _ in points)


class Watch:
    """Samples of the server's memory, at equal distances in time."""

    def __init__(self, server, seconds):
        self.server, self.process, self.begin = server, f"/proc/{server.process.pid}", time.monotonic()
        self.every = min(60, max(1, seconds / 60))
        self.samples = []  # [(seconds, bytes that are no file's)]
        self.said, self.processor = self.begin, self.processor_seconds()

    def processor_seconds(self):
        with open(f"{self.process}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        with open(f"{self.process}/status", encoding="utf-8") as file:
            fields = dict(line.split(":", 1) for line in file)
        return [int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon")]

    def sample(self):
        resident, own = self.memory()
        self.samples.append((time.monotonic() - self.begin, own))
        return resident, own

    def say(self, clients):
        resident, own = self.sample()
        now, processor = time.monotonic(), self.processor_seconds()
        share, self.said, self.processor = (processor - self.processor) / (now - self.said), now, processor
        count = lambda name: sum(getattr(client, name) for client in clients)
        print(f"{now - self.begin:6.0f} s: {count('done')} answered, {count('refused')} refused, {count('left')} left; "
              f"{resident / MIB:.1f} MiB resident, {own / MIB:.1f} of no file; {len(os.listdir(self.process + '/fd'))} files, "
              f"{len(os.listdir(self.process + '/task'))} threads; {share:.0%} of a processor", flush=True)

    def most(self, quarter):
        quarters = len(self.samples) // 4
        return max(own for _, own in self.samples[quarter * quarters:(quarter + 1) * quarters])

    def verdict(self):
        """Whether memory came to rest; says so."""
        if len(self.samples) < 12:
            print("too short to say how memory grows")
            return True
        later = self.samples[len(self.samples) // 10:]
        slope = least_squares_slope(later) * 3600 / MIB
        second, last = self.most(1), self.most(3)
        flat = last - second <= max(2 * MIB, 0.02 * second)
        print(f"memory of no file: {slope:+.2f} MiB an hour; at most {second / MIB:.2f} MiB in the second quarter, "
              f"{last / MIB:.2f} in the last: {'flat' if flat else 'it GROWS'}")
        return flat


def arguments():
    own, server = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, server = own[:at], own[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tern")
    parser.add_argument("-m", "--model", action="append", default=[], help="may be given several times")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--rate", type=float, default=0, help="requests a second of all clients; 0: as many as go")
    parser.add_argument("--words", type=int, default=60, help="of the longest prompts")
    args = parser.parse_args(own)
    args.tern = os.path.abspath(args.tern)
    args.model = [os.path.abspath(path) for path in args.model]
    return args, server


def run(args, server):
    start = time.monotonic()
    clients = [Client(server, number, start + args.seconds, args) for number in range(args.clients)]
    for client in clients:
        client.start()
    watch = Watch(server, args.seconds)
    while any(client.is_alive() for client in clients):
        time.sleep(watch.every)
        if time.monotonic() - watch.said >= min(60, args.seconds / 6):
            watch.say(clients)
        else:
            watch.sample()
    failures = [failure for client in clients for failure in client.failures]
    for failure in failures[:10]:
        print("failed:", failure)
    server.until(lambda: not server.busy_slots() and server.metric("tern_requests_waiting") == 0, 10,
                 "a place stays taken")
    server.until(lambda: server.metric("tern_connections") <= 2, 10, "a connection stays open")
    return watch.verdict() and not failures


def main():
    args, words = arguments()
    bounds = [] if args.model else ["--kv-memory", "8M", "--cache-dir-size", "16M"]
    with tempfile.TemporaryDirectory(prefix="tern-stress-") as cache:
        with Server(args.tern, Models.get(), *(args.model or ["chain.gguf"]), "--parallel", "8", "--queue", "16",
                    "--cache-dir", cache, *bounds, *words) as server:
            fine = run(args, server)
            server.log.clear()
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
