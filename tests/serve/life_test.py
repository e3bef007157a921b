#!/usr/bin/env python3
"""How tern serve starts and stops, finds its models, listens, and writes its log.

    life_test.py TERN [words in names of tests]
"""

import http.client
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

from server import ENDLESSLY, SLOW, Answer, Models, Server, read_all

TERN = os.path.abspath(sys.argv.pop(1))
SENTENCE = "I am a very tiny model \u2713."


def path(name):
    return os.path.join(Models.get(), name)


class Stopping(unittest.TestCase):
    def refused(self, server):
        try:
            server.socket().close()
            return False
        except (ConnectionRefusedError, ConnectionResetError):
            return True

    def test_streams_finish(self):
        with Server(TERN, Models.get(), "endless.gguf", "--grace", "600") as server:
            stream = server.begin_stream(max_tokens=3000, temperature=0)
            idle = server.connect()
            idle.request("GET", "/health")
            self.assertEqual(Answer(idle.getresponse()).status, 200)
            server.process.send_signal(signal.SIGTERM)
            server.until(lambda: self.refused(server))
            try:  # on a connection that was there before
                idle.request("POST", "/tokenize", json.dumps({"content": "x"}))
                self.assertEqual(Answer(idle.getresponse()).status, 503)
            except (ConnectionError, http.client.RemoteDisconnected):
                pass  # it was faster
            data = read_all(stream)
            self.assertTrue(data.endswith(b"0\r\n\r\n"), data[-60:])
            self.assertIn(b"data: [DONE]", data[-60:])
            self.assertEqual(server.process.wait(20 * SLOW), 0)

    def test_grace_has_an_end(self):
        for again in (False, True):
            with Server(TERN, Models.get(), "endless.gguf", "--grace", "600" if again else "1") as server:
                stream = server.begin_stream(max_tokens=ENDLESSLY, temperature=0, logprobs=True, top_logprobs=20)
                start = time.monotonic()
                server.process.send_signal(signal.SIGINT)
                if again:
                    server.until(lambda: self.refused(server))
                    server.process.send_signal(signal.SIGINT)
                self.assertEqual(server.process.wait(20 * SLOW), 0)
                self.assertLess(time.monotonic() - start, 8 * SLOW)
                read_all(stream)

    def test_waiting_requests(self):
        # What is in the queue when the server is made to stop is broken off, not forgotten.
        with Server(TERN, Models.get(), "endless.gguf", "--parallel", "1", "--grace", "0") as server:
            streams = [server.begin_stream(max_tokens=ENDLESSLY, temperature=0) for _ in range(5)]
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(20 * SLOW), 0)
            for stream in streams:
                read_all(stream)


class Loading(unittest.TestCase):
    def test_broken_model(self):
        for name, words in (("broken.gguf", "broken.gguf"), ("nothing.gguf", "nothing.gguf")):
            server = Server(TERN, Models.get(), name)
            self.assertEqual(server.process.wait(20 * SLOW), 1)
            server.stop()
            self.assertIn(words, "".join(server.log))

    def test_command_line(self):
        for words, message in (((), "which model"), (("chain.gguf", "--queue", "x"), "--queue"),
                               (("chain.gguf", "--tls-cert", "x"), "go together"),
                               (("chain.gguf", "--kv-memory", "lots"), "takes a size"),
                               (("chain.gguf", "--trust-proxy", "here"), "--trust-proxy: 'here' is no address"),
                               (("chain.gguf", "chain.gguf"), "--alias"), (("chain.gguf", "-a", "x", "-a", "y"), "more")):
            server = Server(TERN, Models.get(), *words)
            self.assertEqual(server.process.wait(20 * SLOW), 2, words)
            server.stop()
            self.assertIn(message, "".join(server.log))

    def test_several(self):
        with Server(TERN, Models.get(), "chain.gguf", "endless.gguf", "-m", "broken.gguf", "--alias", "first") as server:
            states = lambda: {model["id"]: model["status"] for model in server.get("/v1/models").json()["data"]}
            self.assertEqual(states(), {"first": "loaded", "endless": "unloaded", "broken": "unloaded"})
            self.assertEqual(server.chat(model="first").json()["choices"][0]["message"]["content"], SENTENCE)
            body = server.chat(model="endless", max_tokens=4).json()
            self.assertEqual((body["model"], body["choices"][0]["message"]["content"]), ("endless", "la di da\n"))
            for model, status, code in (("other", 404, "model_not_found"), (None, 400, None), ("broken", 500, "model_not_loaded")):
                answer = server.chat(model=model)
                self.assertEqual((answer.status, answer.error()["code"]), (status, code), answer.body)
                self.assertNotIn(Models.get(), answer.body.decode())
            self.assertEqual(states(), {"first": "loaded", "endless": "loaded", "broken": "failed"})
            self.assertEqual(server.post("/v1/embeddings", {"model": "other", "input": "x"}).status, 404)
            self.assertEqual(server.post("/tokenize", {"model": "first", "content": "x"}).status, 200)

    def test_without_a_queue(self):
        with Server(TERN, Models.get(), "chain.gguf", "endless.gguf", "--queue", "0") as server:
            self.assertEqual(server.chat(model="endless", max_tokens=4).status, 200)

    def test_fingerprints(self):
        # A model of the same shape and name is another one if any of its weights is; a copy is not.
        with open(path("deep.gguf"), "rb") as file:
            data = bytearray(file.read())
        self.assertGreater(len(data), 150000)
        for name, change in (("copy.gguf", None), ("middle.gguf", 100000), ("end.gguf", len(data) - 2000)):
            with open(path(name), "wb") as file:
                other = bytearray(data)
                if change: other[change] ^= 1
                file.write(other)
        with Server(TERN, Models.get(), "deep.gguf", "copy.gguf", "middle.gguf", "end.gguf") as server:
            prints = [server.chat(model=name, max_tokens=1).json()["system_fingerprint"]
                      for name in ("deep", "copy", "middle", "end")]
        self.assertEqual(prints[0], prints[1])
        self.assertEqual(len(set(prints)), 3, prints)

    def test_memory(self):
        # Room for one: whichever is asked for comes, and the other goes once nobody uses it.
        with Server(TERN, Models.get(), "chain.gguf", "endless.gguf", "--models-memory", "1K") as server:
            states = lambda: [model["status"] for model in server.get("/v1/models").json()["data"]]
            stream = server.begin_stream(model="chain", max_tokens=400, temperature=50, top_k=0, top_p=1, min_p=0,
                                         ignore_eos=True)
            self.assertEqual(server.chat(model="endless", max_tokens=4).status, 200)
            self.assertEqual(states(), ["unloaded", "loaded"])
            self.assertIn(b"[DONE]", read_stream_until_done(stream))
            self.assertEqual(server.chat(model="chain").status, 200)
            self.assertEqual(states(), ["loaded", "unloaded"])

    def test_memory_of_all_parts(self):
        # Room for one model and the first part of another.
        parts = [os.path.getsize(path(f"split-{part}-of-00002.gguf")) for part in ("00001", "00002")]
        room = os.path.getsize(path("chain.gguf")) + parts[0] + parts[1] // 2
        with Server(TERN, Models.get(), "chain.gguf", "split-00001-of-00002.gguf", "--models-memory", str(room)) as server:
            self.assertEqual(server.chat(model="split").json()["choices"][0]["message"]["content"], SENTENCE)
            states = [model["status"] for model in server.get("/v1/models").json()["data"]]
            self.assertEqual(states, ["unloaded", "loaded"])

    def test_memory_is_shared_fairly(self):
        # One model is always in use; who asks for the other is answered all the same, and so is everybody else.
        with Server(TERN, Models.get(), "chain.gguf", "endless.gguf", "--models-memory", "1K") as server:
            end, failures = threading.Event(), []

            def keep_busy():
                while not end.is_set():
                    answer = server.chat(model="chain")
                    if answer.status != 200: failures.append(answer.body)

            def keep_looking():
                while not end.is_set():
                    models = server.get("/v1/models").json()["data"]
                    if [model["id"] for model in models] != ["chain", "endless"]: failures.append(models)

            clients = [threading.Thread(target=keep_busy) for _ in range(4)] + [threading.Thread(target=keep_looking)]
            for client in clients:
                client.start()
            for _ in range(3):
                self.assertEqual(server.chat(model="endless", max_tokens=4).status, 200)
            end.set()
            for client in clients:
                client.join()
            self.assertEqual(failures, [])

    def test_templates(self):
        with Server(TERN, Models.get(), "raw.gguf") as server:
            answer = server.chat()
            self.assertEqual(answer.status, 400)
            self.assertIn("no chat template", answer.error()["message"])
            self.assertNotIn(Models.get(), answer.body.decode())
            self.assertEqual(server.post("/v1/completions", {"prompt": "I", "temperature": 0}).status, 200)
        with Server(TERN, Models.get(), "raising.gguf") as server:
            answer = server.chat()
            self.assertEqual((answer.status, answer.error()["param"]), (400, "messages"))
            self.assertIn("only cats may ask", answer.error()["message"])
            self.assertNotIn(Models.get(), answer.body.decode())


def read_stream_until_done(connection):
    data = b""
    while b"[DONE]" not in data:
        piece = connection.recv(65536)
        if not piece: break
        data += piece
    connection.close()
    return data


class Listening(unittest.TestCase):
    def test_unix_socket(self):
        where = path("socket")
        for _ in range(2):  # one that a killed server left is replaced
            with Server(TERN, Models.get(), "chain.gguf", "--unix", where, expect=-9) as server:
                self.assertEqual(server.address, where)
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(where)
                connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertTrue(read_all(connection).startswith(b"HTTP/1.1 200"))
                self.assertEqual(os.stat(where).st_mode & 0o777, 0o660)
                server.process.kill()
            self.assertTrue(os.path.exists(where))
        with Server(TERN, Models.get(), "chain.gguf", "--unix", where):
            second = Server(TERN, Models.get(), "chain.gguf", "--unix", where)
            self.assertEqual(second.process.wait(20 * SLOW), 1)
            second.stop()
        self.assertFalse(os.path.exists(where))

    def test_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6 here")
        with Server(TERN, Models.get(), "chain.gguf", "--host", "::1", expect=0) as server:
            self.assertRegex(server.address, r"^http://\[::1\]:\d+$")

    def test_taken_port(self):
        taken = socket.create_server(("127.0.0.1", 0))
        server = Server(TERN, Models.get(), "chain.gguf", "--port", str(taken.getsockname()[1]))
        self.assertEqual(server.process.wait(20 * SLOW), 1)
        server.stop()
        self.assertEqual(len(server.log), 1)
        self.assertIn("Address already in use", server.log[0])
        taken.close()

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_tls(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path("key.pem"), "-out",
                        path("cert.pem"), "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        server = Server(TERN, Models.get(), "chain.gguf", "--tls-cert", path("cert.pem"), "--tls-key", path("key.pem"))
        server.listening.wait(20 * SLOW)
        self.assertTrue(server.address.startswith("https://"))
        context = ssl.create_default_context(cafile=path("cert.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20 * SLOW)
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "stream": True})
        connection.request("POST", "/v1/chat/completions", body)
        answer = Answer(connection.getresponse())
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body.endswith(b"data: [DONE]\n\n"))
        connection.close()
        self.assertEqual(server.stop(), 0)
        with open(path("other.pem"), "w") as file:
            file.write("no PEM at all\n")
        for words in [("key.pem", "key.pem"), ("cert.pem", "other.pem"), ("other.pem", "key.pem")]:
            server = Server(TERN, Models.get(), "chain.gguf", "--tls-cert", path(words[0]), "--tls-key", path(words[1]))
            self.assertEqual(server.process.wait(20 * SLOW), 1)
            server.stop()
            self.assertEqual(len(server.log), 1, server.log)  # and no word of a model whose loading was broken off
            self.assertIn("certificate and key are no PEM texts that belong together", server.log[0])


class Running(unittest.TestCase):
    def test_config_file(self):
        with open(path("serve.conf"), "w") as file:
            file.write(f"# a server\nmodel = {path('chain.gguf')}\nalias = from-file\nparallel = 3\n"
                       "verbose = true\nf32-activations = false\n\nctx-size = 100\n")
        with Server(TERN, Models.get(), "--config", path("serve.conf"), "--parallel", "2") as server:
            self.assertEqual(len(server.get("/slots").json()), 2)  # the command line goes before the file
            self.assertEqual(server.get("/v1/models").json()["data"][0]["meta"]["n_ctx"], 100)
            self.assertEqual(server.chat().json()["model"], "from-file")
        for text, words in (("paralel = 3\n", "did you mean --parallel"), ("parallel\n", "line 1"),
                            ("\n-x = 3\n", "line 2")):
            with open(path("serve.conf"), "w") as file:
                file.write(text)
            server = Server(TERN, Models.get(), "chain.gguf", "--config", path("serve.conf"))
            self.assertEqual(server.process.wait(20 * SLOW), 2)
            server.stop()
            self.assertIn(words, "".join(server.log))

    def test_json_log(self):
        with Server(TERN, Models.get(), "chain.gguf", "--log-format", "json") as server:
            server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, X_Request_Id="mine-1")
            server.get("/nothing%0a{%22forged%22:1}")
            self.assertEqual(server.get("/%ff%fe", X_Request_Id="mine-3").status, 404)
        lines = [json.loads(line) for line in server.log]
        (asked,) = [line for line in lines if line.get("id") == "mine-1"]
        self.assertEqual((asked["path"], asked["status"], asked["model"]), ("/v1/chat/completions", 200, "chain"))
        self.assertGreater(asked["prompt_tokens"], 10)
        self.assertEqual([line["path"] for line in lines if line.get("id") == "mine-3"], ["/\ufffd\ufffd"])
        self.assertFalse([line for line in lines if "forged" in line])

    def test_text_log(self):
        with Server(TERN, Models.get(), "chain.gguf") as server:
            server.get("/a%0a2026-01-01T00:00:00Z%1b[31m", X_Request_Id="mine-2")
        lines = [line for line in server.log if "id=mine-2" in line]
        self.assertEqual(len(lines), 1)
        self.assertNotIn("\x1b", lines[0])
        self.assertIn("status=404", lines[0])

    def who_is_answered(self, streams):
        """The name of the first of these streams that has words."""
        while ready := select.select(streams.values(), [], [], 20 * SLOW)[0]:
            for name, stream in streams.items():
                if stream in ready and b'"content":"la' in stream.recv(65536): return name
        raise AssertionError("nobody is answered")

    def order_of_answers(self, *words):
        """Of four requests of one client and then one of another, as a proxy on this machine says, who all wait; and which
        clients the log names."""
        with Server(TERN, Models.get(), "endless.gguf", "--parallel", "1", "--log-format", "json", *words) as server:
            current, waiting, order = server.begin_stream(max_tokens=ENDLESSLY), {}, []
            server.until(server.busy_slots)
            for name, address in (("a1", b"1"), ("a2", b"1"), ("a3", b"1"), ("a4", b"1"), ("b1", b"2")):
                headers = b"X-Request-Id: %s\r\nX-Forwarded-For: 192.0.2.%s\r\n" % (name.encode(), address)
                waiting[name] = server.ask_stream(headers, max_tokens=ENDLESSLY)
                server.until(lambda: server.metric("tern_requests_waiting") == len(waiting))
            while waiting:
                current.close()
                order.append(self.who_is_answered(waiting))
                current = waiting.pop(order[-1])
            current.close()
        lines = [json.loads(line) for line in server.log]
        return order, {line["client"] for line in lines if line.get("id") in order}

    def test_clients_behind_a_proxy(self):
        self.assertEqual(self.order_of_answers("--trust-proxy", "127.0.0.0/8"),
                         (["a1", "b1", "a2", "a3", "a4"], {"192.0.2.1", "192.0.2.2"}))
        self.assertEqual(self.order_of_answers(), (["a1", "a2", "a3", "a4", "b1"], {"127.0.0.1"}))

    def test_quiet_line(self):
        # A comment now and then, so that nobody in between thinks that the connection is dead.
        with Server(TERN, Models.get(), "endless.gguf", "--parallel", "1", "--heartbeat", "1") as server:
            first = server.begin_stream(max_tokens=ENDLESSLY)
            last, data = server.ask_stream(max_tokens=10), b""
            while b":\n\n" not in data and b"[DONE]" not in data:
                data += last.recv(65536)
            self.assertIn(b":\n\n", data)
            first.close()
            last.close()


if __name__ == "__main__":
    unittest.main()
