"""tern serve as tests use it: started on a free port with small models that say what is known beforehand, asked over
plain sockets and http.client, and watched: it must end with 0 and without a word of a sanitizer."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "tools"))

import chain_model  # noqa: E402

SLOW = float(os.environ.get("TERN_TEST_PATIENCE", "1"))  # sanitizers and busy machines need more time

THOUGHTFUL = ["\n", "<think>", "Hm", ",", " well", "</think>", "Yes", ".", "<|im_end|>"]
ENDLESS = ["\n", "la", " di", " da", "\n"]  # round and round
ENDLESSLY = 190000  # of its tokens: more than any machine makes while a test looks
PONDERING = ["\n", "Hm", " and", " yet", "\n"]  # would think for ever, but for what is put behind it
THINKS = chain_model.CHATML + "{# thinking is closed by </think> #}"
OPENED = THINKS.replace("'<|im_start|>assistant\n' }}", "'<|im_start|>assistant\n<think>\n' }}")


def write_models(folder):
    at = lambda name: os.path.join(folder, name)
    chain_model.write_model(at("chain.gguf"))
    chain_model.write_model(at("split.gguf"), split_behind=1)
    chain_model.write_model(at("deep.gguf"), layers=5)
    chain_model.write_model(at("thoughtful.gguf"), chain=THOUGHTFUL, template=THINKS)
    chain_model.write_model(at("endless.gguf"), chain=ENDLESS, context=ENDLESSLY + 10000)
    chain_model.write_model(at("pondering.gguf"), chain=PONDERING, template=OPENED, context=4096)
    chain_model.write_model(at("raw.gguf"), template=None)
    chain_model.write_model(at("raising.gguf"), template="{{ raise_exception('only cats may ask') }}")
    with open(at("broken.gguf"), "wb") as file:
        file.write(b"GGUF and then nothing that makes sense")


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]


def read_all(connection):
    """What comes until the other side is done; then the connection is closed."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    connection.close()
    return data


class Server:
    """`with Server(tern, folder, "chain.gguf", "--parallel", "2") as server: server.post("/tokenize", {...})`"""

    def __init__(self, tern, folder, *words, expect=0, environment=None):
        self.expect, self.folder = expect, folder
        words = [os.path.join(folder, word) if word.endswith(".gguf") else word for word in words]
        port = [] if "--unix" in words or "--port" in words else ["--port", "0"]
        kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH")
        environment = {**{name: os.environ[name] for name in kept if name in os.environ}, **(environment or {})}
        self.process = subprocess.Popen([tern, "serve", *words, *port], env={**environment, "HOME": "/nonexistent"},
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.log, self.address, self.host, self.port = [], None, None, None
        self.listening, self.closed = threading.Event(), threading.Event()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    def read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r"(?:listens at|\"address\":) ?\"?(\S+?)[\"\s]", line)
            if found and not self.listening.is_set():
                self.address = found.group(1)
                place = re.search(r"//\[?([^\]]+?)\]?:(\d+)$", self.address)
                self.host, self.port = (place[1], int(place[2])) if place else (None, None)
                self.listening.set()
        self.closed.set()
        self.listening.set()

    def __enter__(self):
        if not self.listening.wait(20 * SLOW) or self.address is None:
            self.process.kill()
            raise RuntimeError("tern serve does not listen:\n" + "".join(self.log))
        try:
            self.wait_for_model()
        except BaseException:
            self.process.kill()
            raise
        return self

    def wait_for_model(self):
        self.until(lambda: self.process.poll() is not None or not self.port or self.get("/health").status == 200)

    def __exit__(self, *_):
        code = self.stop()
        text = "".join(self.log)
        found = re.search(r"={5,}\n.*Sanitizer|runtime error", text)
        if code != self.expect or found:
            told = text[found.start():][:6000] if found else text[-6000:]
            raise RuntimeError(f"tern serve ended with {code}, expected {self.expect}:\n{told}")

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(40 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join(5)
        self.process.stderr.close()
        return code

    @staticmethod
    def until(condition, seconds=20, words="what was waited for did not come"):
        end = time.monotonic() + seconds * SLOW
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(words)
            time.sleep(0.02)

    # ---- Asking -------------------------------------------------------------------------------------------------------

    def connect(self, timeout=60):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)

    def ask(self, method, path, body=None, headers=None):
        connection = self.connect()
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def get(self, path, **headers):
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def chat(self, text="Hi", **fields):
        return self.post("/v1/chat/completions",
                         {"messages": [{"role": "user", "content": text}], "temperature": 0, **fields})

    def stream(self, path="/v1/chat/completions", **fields):
        """The data of a stream's events, parsed; "[DONE]" stays a string."""
        body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "stream": True, **fields}
        answer = self.post(path, body)
        assert answer.status == 200, answer.body
        assert answer.headers["Content-Type"] == "text/event-stream", answer.headers
        events = [block for block in answer.body.decode().split("\n\n") if block and not block.startswith(":")]
        data = [re.sub(r"^event: .*\n", "", block) for block in events]
        assert all(block.startswith("data: ") for block in data), events
        return [block[6:] if block == "data: [DONE]" else json.loads(block[6:]) for block in data]

    def socket(self):
        return socket.create_connection((self.host, self.port), timeout=60 * SLOW)

    def ask_stream(self, headers=b"", **fields):
        """A socket on which an answer will stream; nothing of it is read."""
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True, **fields}).encode()
        connection = self.socket()
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" %
                           (headers, len(body)) + body)
        return connection

    def begin_stream(self, **fields):
        """A socket on which an answer streams; its first bytes are read."""
        connection = self.ask_stream(**fields)
        first = connection.recv(4096)
        assert first.startswith(b"HTTP/1.1 200"), first
        return connection

    def busy_slots(self):
        return [slot for slot in self.get("/slots").json() if slot["is_processing"]]

    def metric(self, name):
        text = self.get("/metrics").body.decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith(name) and line[len(name)] in " {")


class Models:
    """The folder of small models, made once for a program of tests."""
    folder = None

    @classmethod
    def get(cls):
        if cls.folder is None:
            cls.folder = tempfile.TemporaryDirectory(prefix="tern-serve-")
            write_models(cls.folder.name)
        return cls.folder.name
