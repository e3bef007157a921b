"""A hub on this machine that misbehaves on request. Python's standard library only."""

import hashlib
import http.server
import json
import ssl
import threading
import time

STORY = "/story/"  # /story/NAME/...: what the test called NAME says


class Story:
    """How the server answers for one file. `log` keeps what was asked: (path, Range, If-Range, Authorization, Host)."""

    def __init__(self, body=b"", **traits):
        self.body = body
        self.etag = '"' + hashlib.sha256(body).hexdigest()[:20] + '"'
        self.sha256 = hashlib.sha256(body).hexdigest()  # what is stated, true or not
        self.state_sha256 = True
        self.ranges = True
        self.break_after = []      # bytes after which answers break off, one an answer
        self.stall_after = []      # bytes after which answers stop without an end, one an answer
        self.pace = 0              # seconds between pieces of 64 KiB
        self.statuses = []         # refusals before the file comes: (status, headers)
        self.endless = False       # their pages have no end
        self.redirect = None       # address; the file itself is behind it
        self.length = None         # what Content-Length claims
        self.linked_size = None    # what X-Linked-Size claims; None: nothing, True: the truth
        self.chunked = False
        self.headers = []
        self.tree = None           # answer of the list of files
        self.log = []
        self.__dict__.update(traits)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def find_story(self):
        for key, story in self.server.stories.items():
            if key in self.path:
                return story
        return None

    def do_GET(self):
        story = self.find_story()
        if story is None:
            return self.refuse(404)
        story.log.append((self.path, self.headers.get("Range"), self.headers.get("If-Range"),
                          self.headers.get("Authorization"), self.headers.get("Host")))
        if self.path.startswith("/api/models/"):
            return self.send_tree(story)
        if story.statuses:
            return (self.refuse_endlessly if story.endless else self.refuse)(*story.statuses.pop(0))
        if story.redirect and "/behind/" not in self.path:
            return self.send_elsewhere(story)
        self.send_file(story)

    def refuse(self, status, headers=()):
        body = b"<html>no</html>"
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse_endlessly(self, status, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while not self.server.stop.is_set():
            self.wfile.write(b"no, " * 10000)

    def send_tree(self, story):
        if story.tree is None:
            return self.refuse(404)
        body = story.tree if isinstance(story.tree, bytes) else json.dumps(story.tree).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_elsewhere(self, story):
        self.send_response(302)
        self.send_header("Location", story.redirect)
        self.send_stated(story)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_stated(self, story):
        if story.state_sha256:
            self.send_header("X-Linked-Etag", f'"{story.sha256}"')
        if story.linked_size:
            size = len(story.body) if story.linked_size is True else story.linked_size
            self.send_header("X-Linked-Size", str(size))

    def start_of(self, story):
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if not story.ranges or not wanted or (condition and condition != story.etag):
            return 0
        return int(wanted.removeprefix("bytes=").split("-")[0])

    def send_file(self, story):
        start, total = self.start_of(story), len(story.body)
        if start >= total > 0:
            return self.refuse(416, [("Content-Range", f"bytes */{total}")])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if story.etag:
            self.send_header("ETag", story.etag)
        if not story.redirect:
            self.send_stated(story)
        for name, value in story.headers:
            self.send_header(name, value)
        if story.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(story.length if story.length is not None else total - start))
        self.end_headers()
        self.send_bytes(story, story.body[start:])

    def send_bytes(self, story, body):
        stop = story.break_after.pop(0) if story.break_after else None
        stall = story.stall_after.pop(0) if story.stall_after else None
        for at in range(0, len(body), 1 << 16):
            piece = body[at:at + (1 << 16)]
            for bound in (stop, stall):
                if bound is not None:
                    piece = piece[:max(0, bound - at)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if story.chunked else piece)
            if stop is not None and at + len(piece) >= stop:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if stall is not None and at + len(piece) >= stall:
                self.close_connection = True
                self.server.stop.wait(20)
                return
            time.sleep(story.pace)
        if story.chunked:
            self.wfile.write(b"0\r\n\r\n")
        if story.length is not None and story.length != len(body):
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "https" if certificate else "http"
        if certificate:  # a PEM file with its key
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.stories = {}
        self.stop = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, address):
        pass  # clients that go away are part of the tests

    @property
    def address(self):
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def close(self):
        self.stop.set()
        self.shutdown()
        self.server_close()
