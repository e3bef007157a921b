#!/usr/bin/env python3
"""Clients that tern serve must stand: slow, huge, broken, gone, many. Each time others are answered all along.

    hostile_test.py TERN [words in names of tests]
"""

import collections
import concurrent.futures
import json
import os
import re
import selectors
import socket
import sys
import time
import unittest

from server import ENDLESSLY, SLOW, Models, Server, read_all

TERN = os.path.abspath(sys.argv.pop(1))
SENTENCE = "I am a very tiny model \u2713."
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
MIB = 1 << 20


def chat_bytes(**fields):
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, **fields}).encode()
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Hostile(unittest.TestCase):
    def serve(self, *words, **options):
        server = Server(TERN, Models.get(), *words, **options)
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def assert_alive(self, server):
        self.assertEqual(server.post("/tokenize", {"content": "x"}).status, 200)

    # ---- Slow ---------------------------------------------------------------------------------------------------------

    def test_a_byte_now_and_then(self):
        server = self.serve("chain.gguf", "--timeout", "2")
        for begun in (b"", POST + b"X-Slow: ", POST + b"Content-Length: 1000\r\n\r\n{"):
            connection = server.socket()
            connection.sendall(begun)
            start, closed = time.monotonic(), False
            while not closed and time.monotonic() - start < 20 * SLOW:
                time.sleep(0.25)
                self.assert_alive(server)
                try:
                    connection.sendall(b"x")
                    connection.settimeout(0.01)
                    closed = connection.recv(1) == b""
                except socket.timeout:
                    pass
                except OSError:
                    closed = True
            connection.close()
            self.assertTrue(closed, begun)
            self.assertGreater(time.monotonic() - start, 1.5)

    def test_large_and_steady(self):
        # Longer on its way than --timeout, but it keeps coming.
        server = self.serve("endless.gguf", "--timeout", "3")
        body = json.dumps({"content": "x" * 150000}).encode()
        connection = server.socket()
        connection.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 10000):
            connection.sendall(body[at:at + 10000])
            time.sleep(0.25)
        self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200"))
        connection.close()

    def test_after_a_pause(self):
        # A request on a connection that was idle has as much time as the first one.
        server = self.serve("chain.gguf", "--timeout", "9")
        connection = server.socket()
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b" 200 ", connection.recv(4096).split(b"\r\n")[0])
        time.sleep(5)
        connection.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n")
        time.sleep(5)
        connection.sendall(b'{"content": "x"}')
        self.assertIn(b" 200 ", connection.recv(4096).split(b"\r\n")[0])
        connection.close()

    def test_large_and_then_slow(self):
        # What came fast is no credit: a second after its last large piece the rest is late.
        server = self.serve("chain.gguf", "--timeout", "1")
        connection = server.socket()
        connection.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
        connection.sendall(b"x" * (4 * MIB))
        start = time.monotonic()
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() - start < 10 * SLOW:
                time.sleep(0.25)
                connection.sendall(b"x")
        connection.close()

    def test_who_does_not_read(self):
        server = self.serve("endless.gguf", "--timeout", "1")
        connection = server.begin_stream(max_tokens=15000, logprobs=True, top_logprobs=20)
        server.until(lambda: not server.busy_slots(), 60)
        server.until(lambda: server.metric("tern_connections") <= 2, 20, "who does not read is not cut off")
        connection.close()

    # ---- Huge and broken ----------------------------------------------------------------------------------------------

    def test_large_bodies(self):
        server = self.serve("chain.gguf", "--max-body", "1M")
        for length in (MIB + 1, 6 * MIB):
            answer = server.post("/v1/chat/completions", b"x" * length)
            self.assertEqual(answer.status, 413)
            self.assertEqual(answer.error()["code"], "body_too_large")
        # Without a length, and with one that nobody would wait for.
        connection = server.socket()
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(200):
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            self.assertNotIn(b"200 OK", read_all(connection))
        except (ConnectionResetError, BrokenPipeError):
            connection.close()
        connection = server.socket()
        connection.sendall(POST + b"Content-Length: 104857600\r\n\r\nx")
        self.assertIn(b" 413 ", read_all(connection).split(b"\r\n")[0])
        self.assert_alive(server)

    def test_hundred_megabytes(self):
        server = self.serve("chain.gguf")
        before = server.metric("process_resident_memory_bytes")
        answer = server.post("/v1/chat/completions", b"x" * (100 * MIB))
        self.assertEqual(answer.status, 413)
        if SLOW == 1: self.assertLess(server.metric("process_resident_memory_bytes") - before, 8 * MIB)

    def test_what_swells(self):
        # Ten megabytes that would be a gigabyte once parsed, a text that no context holds, and tokens of tokens.
        server = self.serve("chain.gguf")
        before = server.metric("process_resident_memory_bytes")
        for path, body, status in (("/v1/chat/completions", b'{"messages": [' + b"{}," * (3 * MIB) + b"{}]}", 400),
                                   ("/detokenize", b'{"tokens": [' + b"1," * (5 * MIB) + b"1]}", 400),
                                   ("/v1/completions", b'{"prompt": "' + b"x" * (20 * MIB) + b'"}', 400),
                                   ("/v1/embeddings", b'{"input": "' + b"x" * (20 * MIB) + b'"}', 400),
                                   ("/tokenize", b'{"content": "' + b"x" * (10 * MIB) + b'"}', 400)):
            answer = server.post(path, body)
            self.assertEqual(answer.status, status, answer.body[:200])
        if SLOW == 1: self.assertLess(server.metric("process_resident_memory_bytes") - before, 300 * MIB)

    def test_what_is_kept(self):
        # Much in a field that nobody reads, in requests whose answers take long: the body is not kept, what was made of
        # it counts, and one client leaves something for others.
        server = self.serve("endless.gguf", "--parallel", "1", "--max-body", "16K", "--api-key", "one", "--api-key", "two")
        connections = []

        def begin(key, ignored):
            body = b'{"messages": [{"role": "user", "content": "Hi"}], "stream": true, "ignored": ' + ignored + b"}"
            connections.append(server.socket())
            connections[-1].sendall(POST + b"x-api-key: %s\r\nContent-Length: %d\r\n\r\n" % (key, len(body)) + body)
            return connections[-1]

        def status(connection):
            return int(connection.recv(4096).split(b" ")[1])

        text, swelling = b'"' + b"x" * 15000 + b'"', b"[" + b"{}," * 5200 + b"{}]"
        self.assertEqual([status(begin(b"one", text)) for _ in range(21)], [200] * 21)
        self.assertEqual([status(begin(key, swelling)) for key in (b"one", b"one", b"two", b"two")], [200, 503, 200, 503])
        while connections:
            connections.pop().close()
        server.until(lambda: status(begin(b"one", swelling)) == 200)  # once what the others had is free again
        while connections:
            connections.pop().close()

    def test_more_tokens_than_are_told(self):
        # Bytes are tokens here, and the longest token times the context's 20,000 is the longest text.
        server = self.serve("endless.gguf", "-c", "20000")
        tell = lambda n, **fields: server.post("/tokenize", {"content": "x" * n, **fields})
        (mark,) = server.post("/tokenize", {"content": "<|endoftext|>"}).json()["tokens"]
        longest = 20000 * len("<|endoftext|>")
        self.assertEqual(tell(longest).json()["count"], longest)
        self.assertEqual(tell(longest + 1).status, 400)
        self.assertEqual(tell(200000, with_pieces=True).json()["count"], 200000)
        answer = tell(200001, with_pieces=True)
        self.assertEqual((answer.status, answer.error()["param"]), (400, "content"))
        self.assertEqual(len(server.post("/detokenize", {"tokens": [mark] * 20000}).json()["content"]), longest)
        answer = server.post("/detokenize", {"tokens": [mark] * 20001})
        self.assertEqual((answer.status, answer.error()["param"]), (400, "tokens"))

    def test_broken_json(self):
        server = self.serve("chain.gguf")
        deep = lambda n: "[" * n + "]" * n
        wrap = lambda text: '{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1, ' + text + "}"
        for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"messages": "\xc3"}', b'{"a": "\\ud800"}',
                     b'{"messages": [{"role": "user", "content": "a\\u0000b"}]}', deep(100000).encode(),
                     ('{"a":' * 100000).encode(), b"{\"messages\": [" + b"{}," * 100000 + b"{}]}",
                     b'{"max_tokens": ' + b"9" * 10000 + b"}", wrap('"temperature": 1e999').encode(),
                     b"\x00" * 1000):
            answer = server.post("/v1/chat/completions", body)
            self.assertEqual(answer.status, 400, body[:50])
            self.assertIn("message", answer.error())
        for text in (f'"metadata": {deep(1000)}', f'"chat_template_kwargs": {{"x": {deep(1000)}}}',
                     '"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": '
                     + deep(1000) + "}}}}]", f'"logit_bias": {{"1": {deep(900)}}}'):
            self.assertIn(server.post("/v1/chat/completions", wrap(text)).status, (200, 400), text[:50])
        self.assert_alive(server)

    def test_broken_http(self):
        server = self.serve("chain.gguf", "--timeout", "1")
        for request in (b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50,
                        b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                        POST + b"Content-Length: -5\r\n\r\n", POST + b"Content-Length: 99999999999999999999\r\n\r\n",
                        POST + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
                        b"GET /%ff%2e%2e/etc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            connection = server.socket()
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            self.assertNotIn(b" 200 ", read_all(connection).split(b"\r\n")[0], request[:30])
        self.assert_alive(server)

    def test_pipelined(self):
        server = self.serve("chain.gguf")
        connection = server.socket()
        ask = chat_bytes(max_tokens=3)
        connection.sendall(ask + ask + b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = read_all(connection)
        self.assertEqual(data.count(b"HTTP/1.1 200"), 3)
        self.assertEqual(data.count(b'"I am a"'), 2)

    # ---- Gone ---------------------------------------------------------------------------------------------------------

    def test_who_goes_before_the_end_of_the_request(self):
        server = self.serve("chain.gguf")
        for begun in (b"", b"\r\n", POST, POST + b"Content-Length: 1000\r\n\r\n{"):
            for _ in range(20):
                connection = server.socket()
                connection.sendall(begun)
                connection.close()
        server.until(lambda: server.metric("tern_connections") <= 2, words="connections of clients that left stay open")

    def test_who_goes_mid_stream(self):
        server = self.serve("endless.gguf", "--parallel", "2")
        connections = [server.begin_stream(max_tokens=ENDLESSLY) for _ in range(2)]
        server.until(lambda: len(server.busy_slots()) == 2)
        for connection in connections:
            connection.close()
        server.until(lambda: not server.busy_slots(), words="a place is not freed")
        self.assertEqual(server.metric("tern_requests_cancelled_total"), 2)

    def test_who_goes_while_waiting(self):
        server = self.serve("endless.gguf", "--parallel", "1")
        first = server.begin_stream(max_tokens=ENDLESSLY)
        waiting = server.socket()
        waiting.sendall(chat_bytes(max_tokens=ENDLESSLY))
        server.until(lambda: server.metric("tern_requests_waiting") == 1)
        waiting.close()
        server.until(lambda: server.metric("tern_requests_waiting") == 0, words="a place in the queue is not freed")
        first.close()
        server.until(lambda: not server.busy_slots(), words="a place is not freed")
        whole = server.socket()  # one that waits for its answer in one piece
        whole.sendall(chat_bytes(max_tokens=ENDLESSLY))
        server.until(server.busy_slots)
        whole.close()
        server.until(lambda: not server.busy_slots(), words="a place is not freed")

    def test_who_goes_while_a_model_loads(self):
        # Room for one model, which is in use; three may wait for the other. Whoever leaves makes place for another.
        server = self.serve("endless.gguf", "chain.gguf", "--models-memory", "1K", "--parallel", "1", "--queue", "3")
        users = [server.ask_stream(model="endless", max_tokens=ENDLESSLY, logprobs=True, top_logprobs=20) for _ in range(4)]
        self.assertIn(b" 200 ", users[0].recv(4096))

        def ask(path, **fields):
            body = json.dumps({"model": "chain", **fields}).encode()
            connection = server.socket()
            connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, len(body)) + body)
            return connection

        def is_refused(connection, seconds):
            connection.settimeout(seconds)
            try:
                return b" 429 " in connection.recv(4096).split(b"\r\n")[0]
            except socket.timeout:
                return False

        def begin_waiting():
            connection = ask(b"/tokenize", content="x")
            if is_refused(connection, 1): return False
            waiting.append(connection)
            return True

        waiting = [ask(b"/v1/completions", prompt="x"), ask(b"/v1/embeddings", input="x"), ask(b"/tokenize", content="x")]
        self.assertFalse([connection for connection in waiting if is_refused(connection, 1)])
        for _ in range(3):
            self.assertTrue(is_refused(ask(b"/tokenize", content="x"), 20 * SLOW))
            waiting.pop(0).close()
            server.until(begin_waiting)
        for connection in users:
            connection.close()
        for connection in waiting:
            connection.settimeout(20 * SLOW)
            self.assertIn(b" 200 ", connection.recv(4096).split(b"\r\n")[0])
            connection.close()

    # ---- Many ---------------------------------------------------------------------------------------------------------

    def test_a_thousand_idle(self):
        server = self.serve("chain.gguf")

        def threads():
            with open(f"/proc/{server.process.pid}/status") as status:
                return int(re.search(r"Threads:\s+(\d+)", status.read())[1])

        before = threads()
        idle = [server.socket() for _ in range(1000)]
        for i, connection in enumerate(idle):
            if i % 2: connection.sendall(POST)
        server.until(lambda: server.metric("tern_connections") >= 1000)
        for _ in range(20):
            self.assertEqual(server.chat().json()["choices"][0]["message"]["content"], SENTENCE)
        self.assertEqual(threads(), before)
        for connection in idle:
            connection.close()
        server.until(lambda: server.metric("tern_connections") < 10)

    def test_bound_of_all_addresses(self):
        # A name may have several addresses: what is open on all of them together is bounded.
        server = self.serve("chain.gguf", "--host", "localhost", "--connections", "4")
        addresses = {address[4][:2] for address in socket.getaddrinfo("localhost", server.port, type=socket.SOCK_STREAM)}
        connections = []
        for address in [address for address in addresses for _ in range(5)]:
            try:
                connections.append(socket.create_connection(address))
            except OSError:
                pass  # an address that this machine has not
        for connection in connections:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        selector, answered = selectors.DefaultSelector(), set()
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while ready := selector.select(2 if answered else 20 * SLOW):
            for key, _ in ready:
                selector.unregister(key.fileobj)
                answered.add(key.fileobj)
        for connection in connections:
            connection.close()
        self.assertGreater(len(answered), 0)
        self.assertLessEqual(len(answered), 4)

    def test_more_than_the_queue_takes(self):
        server = self.serve("endless.gguf", "--parallel", "4", "--queue", "64")
        blockers = [server.begin_stream(max_tokens=ENDLESSLY) for _ in range(4)]
        selector, left, answers = selectors.DefaultSelector(), {}, []
        for _ in range(500):
            connection = server.socket()
            connection.sendall(chat_bytes(max_tokens=4).replace(b"Host: x", b"Host: x\r\nConnection: close"))
            left[connection] = b""
            selector.register(connection, selectors.EVENT_READ)
        server.until(lambda: server.metric("tern_requests_waiting") == 64)
        for blocker in blockers:
            blocker.close()
        while left:
            ready = selector.select(30 * SLOW)
            self.assertTrue(ready, f"{len(left)} requests are not answered")
            for key, _ in ready:
                piece = key.fileobj.recv(65536)
                left[key.fileobj] += piece
                if not piece:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    answers.append(left.pop(key.fileobj))
        status = collections.Counter(int(answer.split(b" ")[1]) for answer in answers)
        self.assertEqual(set(status), {200, 429})
        self.assertGreaterEqual(status[200], 64)
        for answer in answers:
            if b"HTTP/1.1 200" in answer:
                self.assertIn(b'"content":"la di da\\n"', answer)
            else:
                self.assertIn(b"Retry-After: ", answer)
                self.assertIn(b'"code":"queue_full"', answer)
        self.assert_alive(server)


    def test_who_was_let_in_is_not_refused(self):
        # Others wait for the place of each answer, and ask again as soon as they are refused, when its thinking is cut
        # short and it goes on behind that.
        server = self.serve("pondering.gguf", "--parallel", "1", "--queue", "1")
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            ask = lambda _: server.chat(thinking_budget=3, max_tokens=6, stream=True)
            answers = list(clients.map(ask, range(400)))
        self.assertEqual({answer.status for answer in answers}, {200, 429})
        for answer in answers:
            if answer.status == 200:
                self.assertNotIn(b"error", answer.body)
                self.assertTrue(answer.body.endswith(b"data: [DONE]\n\n"))


class Keys(unittest.TestCase):
    ENDPOINTS = [("POST", "/v1/chat/completions"), ("POST", "/v1/completions"), ("POST", "/v1/embeddings"),
                 ("POST", "/v1/responses"), ("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"),
                 ("GET", "/v1/models"), ("GET", "/v1/models/chain"), ("POST", "/tokenize"), ("POST", "/detokenize"),
                 ("POST", "/apply-template"), ("GET", "/metrics"), ("GET", "/props"), ("GET", "/slots"), ("GET", "/"),
                 ("GET", "/assets/x.js"), ("GET", "/nothing"), ("DELETE", "/v1/models"), ("BREW", "/health")]

    def test_keys(self):
        path = os.path.join(Models.get(), "keys.txt")
        with open(path, "w") as file:
            file.write("# who may ask\n\n  second-key  \nthird-key\n")
        with Server(TERN, Models.get(), "chain.gguf", "--api-key", "first-key", "--api-key-file", path) as server:
            for method, where in self.ENDPOINTS:
                for headers in ({}, {"Authorization": "Bearer first-ke"}, {"Authorization": "Bearer first-keyy"},
                                {"Authorization": "Bearer "}, {"Authorization": "first-key"}, {"x-api-key": "x"},
                                {"Authorization": "Basic Zmlyc3Qta2V5"}, {"Authorization": "Bearer # who may ask"}):
                    answer = server.ask(method, where, b"{}" if method == "POST" else None, headers)
                    self.assertEqual(answer.status, 401, (method, where, headers))
                    self.assertIn("WWW-Authenticate", answer.headers)
            self.assertEqual(server.get("/health").status, 200)
            for headers in ({"Authorization": "Bearer first-key"}, {"Authorization": "bearer second-key"},
                            {"x-api-key": "third-key"}, {"Authorization": "Basic dGVybjp0aGlyZC1rZXk="}):
                self.assertEqual(server.ask("GET", "/v1/models", headers=headers).status, 200, headers)
            self.assertEqual(server.ask("GET", "/nothing", headers={"x-api-key": "third-key"}).status, 404)
            self.assertIn("Basic", server.get("/").headers["WWW-Authenticate"])
            self.assertIn("Bearer", server.get("/v1/models").headers["WWW-Authenticate"])

    def test_anthropic_errors(self):
        with Server(TERN, Models.get(), "chain.gguf", "--api-key", "k") as server:
            body = server.post("/v1/messages", b"{}").json()
            self.assertEqual((body["type"], body["error"]["type"]), ("error", "authentication_error"))

    def test_bad_key_files(self):
        path = os.path.join(Models.get(), "empty.txt")
        open(path, "w").close()
        server = Server(TERN, Models.get(), "chain.gguf", "--api-key-file", path)
        self.assertEqual(server.process.wait(20 * SLOW), 1)
        server.stop()
        self.assertIn("holds no API key", "".join(server.log))


class Origins(unittest.TestCase):
    def ask(self, server, origin, host):
        return server.ask("POST", "/tokenize", {"content": "x"}, {"Origin": origin, "Host": host})

    def test_pages_of_others(self):
        with Server(TERN, Models.get(), "chain.gguf") as server:
            own = f"127.0.0.1:{server.port}"
            self.assertEqual(self.ask(server, f"http://{own}", own).status, 200)
            self.assertEqual(self.ask(server, f"http://localhost:{server.port}", f"localhost:{server.port}").status, 200)
            self.assertEqual(self.ask(server, "https://evil.example", own).status, 403)
            self.assertEqual(self.ask(server, "null", own).status, 403)
            # A stranger's name that leads to this machine.
            self.assertEqual(self.ask(server, "http://evil.example", "evil.example").status, 403)
            for answer in (self.ask(server, "https://evil.example", own),
                           server.ask("OPTIONS", "/tokenize", headers={"Origin": "https://evil.example"})):
                self.assertFalse([name for name in answer.headers if name.startswith("Access-Control")])

    def test_names_of_others(self):
        # What a page asks of its own site comes without an origin, even if a stranger made his name lead here.
        def statuses(server, host):
            return [server.get(where, Host=host).status for where in ("/", "/props", "/slots", "/metrics", "/health")]

        with Server(TERN, Models.get(), "chain.gguf") as server:
            for host in (f"localhost:{server.port}", f"127.0.0.1:{server.port}", "box"):
                self.assertEqual(statuses(server, host), [200] * 5, host)
            self.assertEqual(statuses(server, f"evil.example:{server.port}"), [403] * 4 + [200])
            self.assertEqual(server.get("/props", Host="evil.example").error()["code"], "host_not_allowed")
        with Server(TERN, Models.get(), "chain.gguf", "--cors", "https://chat.example") as server:
            self.assertEqual(statuses(server, "chat.example"), [200] * 5)
            self.assertEqual(statuses(server, "evil.example"), [403] * 4 + [200])
        with Server(TERN, Models.get(), "chain.gguf", "--api-key", "k") as server:
            self.assertEqual(server.get("/props", Host="chat.example", x_api_key="k").status, 200)

    def test_cors(self):
        with Server(TERN, Models.get(), "chain.gguf", "--cors", "https://good.example") as server:
            answer = self.ask(server, "https://good.example", "x")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://good.example")
            asked = server.ask("OPTIONS", "/tokenize", headers={
                "Origin": "https://good.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type"})
            self.assertEqual(asked.status, 204)
            self.assertEqual(asked.headers["Access-Control-Allow-Headers"], "authorization,content-type")
            self.assertIn("POST", asked.headers["Access-Control-Allow-Methods"])
            self.assertEqual(self.ask(server, "https://evil.example", "x").status, 403)


if __name__ == "__main__":
    unittest.main()
