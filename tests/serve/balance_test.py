#!/usr/bin/env python3
"""Three servers behind HAProxy with the configuration that is shipped, one of them killed under load: conversations stay
where their beginning is, nothing that was finished is lost or wrong, and what was not is answered by another server.

    balance_test.py TERN [words in names of tests]

Python's standard library and haproxy; without that, exit code 77.
"""

import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server import SLOW, Models, Server

TERN = os.path.abspath(sys.argv.pop(1))
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
CONFIGURATION = pathlib.Path(__file__).parents[2] / "share" / "deploy" / "haproxy.cfg"
NAMES = ["one", "two", "three"]
SONG = 1500 if SLOW == 1 else 400  # tokens of an answer under load


class Broken(Exception):
    """The connection ended before the answer did."""


class Balanced(unittest.TestCase):
    address = "127.0.0.2"  # from where clients ask

    def setUp(self):
        self.servers = {}
        for name in NAMES:
            self.start(name)
        self.addCleanup(self.stop_servers)
        self.start_haproxy()

    def start(self, name, port=0):
        server = Server(TERN, Models.get(), "endless.gguf", "--port", str(port), "--parallel", "4",
                        "--trust-proxy", "127.0.0.1", "--grace", "600")
        server.__enter__()
        self.servers[name] = server

    def stop_servers(self):
        for server in self.servers.values():
            server.__exit__()

    def start_haproxy(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.port = listener.getsockname()[1]
        text = CONFIGURATION.read_text(encoding="utf-8").replace("bind :8000", f"bind fd@{listener.fileno()}")
        for name, server in self.servers.items():
            text = re.sub(rf"server {name} \S+", f"server {name} 127.0.0.1:{server.port}", text)
        folder = tempfile.TemporaryDirectory(prefix="tern-balance-")
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "haproxy.cfg"
        path.write_text(text, encoding="utf-8")
        # pylint: disable=consider-using-with
        self.haproxy = subprocess.Popen([HAPROXY, "-db", "-f", str(path)], stdout=subprocess.DEVNULL,
                                        pass_fds=[listener.fileno()])
        self.addCleanup(lambda: (self.haproxy.terminate(), self.haproxy.wait(10)))
        Server.until(lambda: self.haproxy.poll() is not None or self.answers(), words="haproxy does not answer")
        self.assertIsNone(self.haproxy.poll(), "haproxy does not start")

    def answers(self):
        try:
            return self.ask({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})[0] == 200
        except OSError:
            return False

    def ask(self, body, path="/v1/chat/completions", **headers):
        """(status, text or None, the server's name); raises Broken."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120 * SLOW,
                                                source_address=(self.address, 0))
        try:
            connection.request("POST", path, json.dumps({"temperature": 0, **body}),
                               {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            data = response.read()
        except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError) as error:
            raise Broken(str(error)) from error
        finally:
            connection.close()
        server = response.getheader("X-Served-By")
        if response.status != 200:
            return response.status, None, server
        if not body.get("stream"):
            return 200, json.loads(data)["choices"][0]["message"]["content"], server
        events = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
        if not events or events[-1] != "[DONE]":
            raise Broken("the stream has no end")
        pieces = [choice["delta"].get("content") or "" for event in events[:-1] for choice in json.loads(event)["choices"]]
        return 200, "".join(pieces), server

    @staticmethod
    def conversation(text, **fields):
        return {"messages": [{"role": "system", "content": "Sing."}, {"role": "user", "content": text}], "max_tokens": 4, **fields}

    def home(self, body, **headers):
        """The server that most of some equal requests go to. One may go elsewhere: a connection that is just being closed
        still makes its server busier than the others (hash-balance-factor), and so does a late answer to a check."""
        return collections.Counter(self.ask(body, **headers)[2] for _ in range(5)).most_common(1)[0]

    def places(self, count):
        """Which server answers each of some conversations."""
        return {i: self.home(self.conversation(f"Song {i}"))[0] for i in range(count)}

    def test_a_conversation_stays_where_it_began(self):
        places = self.places(24)
        self.assertEqual(set(places.values()), set(NAMES))
        for i, place in places.items():
            longer = self.conversation(f"Song {i}")
            longer["messages"] += [{"role": "assistant", "content": "la"}, {"role": "user", "content": "More."}]
            server, times = self.home(longer)
            self.assertEqual(server, place)
            self.assertGreater(times, 2)
        for headers, fields in (({"X_Session": "abc"}, {}), ({}, {"user": "ada"}), ({}, {"prompt_cache_key": "k"})):
            homes = {self.home(self.conversation(f"Song {i}", **fields), **headers)[0] for i in range(8)}
            self.assertEqual(len(homes), 1, (headers, fields))

    def test_servers_know_who_asks(self):
        # What a client says itself is not believed.
        name = self.ask(self.conversation("Song"), X_Forwarded_For="203.0.113.66", X_Request_Id="mine")[2]
        words = f"id=mine client={self.address} "
        Server.until(lambda: [line for line in self.servers[name].log if words in line], words="another client is logged")

    def test_a_popular_beginning_does_not_flood_one_server(self):
        body = {"messages": [{"role": "user", "content": "Sing."}], "max_tokens": 2000}
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            came = list(pool.map(lambda _: self.ask(body)[2], range(24)))
        self.assertGreater(len(set(came)), 1)

    def test_one_is_killed_under_load(self):
        expected = self.ask(self.conversation("Song", max_tokens=SONG))[1]
        self.assertGreater(len(expected), SONG)
        places = self.places(24)
        done, broken, killed = [], [], threading.Event()

        def sing(i):
            body = self.conversation(f"Song {i % 24}", max_tokens=SONG, stream=i % 3 == 0)
            while True:
                try:
                    answer = self.ask(body)
                except Broken as error:
                    broken.append((i, body["stream"], str(error)))
                    continue
                done.append((i, *answer))
                return

        def kill():
            Server.until(lambda: len(done) >= 30 and self.servers["two"].busy_slots(), words="nothing is done")
            self.servers["two"].process.send_signal(signal.SIGKILL)
            killed.set()

        killer = threading.Thread(target=kill)
        killer.start()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(sing, range(120)))
        killer.join()
        self.assertTrue(killed.is_set())
        self.servers["two"].expect = -signal.SIGKILL
        self.assertEqual(sorted(i for i, *_ in done), list(range(120)))
        self.assertEqual({status for _, status, _, _ in done}, {200})
        self.assertEqual({text for _, _, text, _ in done}, {expected})
        # Streams that had begun end with the server; a client asks again, and only those have to.
        self.assertTrue(all(streamed for _, streamed, _ in broken), broken)
        self.assertLessEqual(len(broken), 12)
        print(f"{len(done)} answers, all right; {len(broken)} streams broke off and were asked for again", file=sys.stderr)
        self.look_at_places(places)

    def look_at_places(self, before):
        """Conversations of the other servers stay there, once none of the load's connections counts any more; those of the
        dead one come back when it does."""
        homeless = {i for i in before if before[i] == "two"}
        Server.until(lambda: {i for i, place in self.places(24).items() if place != before[i]} == homeless,
                     words="others than the dead server's conversations moved")
        self.servers["two"].__exit__()
        self.start("two", self.servers["two"].port)
        Server.until(lambda: self.places(24) == before, words="the server that came back is not used")

    def test_one_is_stopped_in_order(self):
        body = self.conversation("Song", max_tokens=2 * SONG, stream=True)
        expected = self.ask(body)[1]
        name = self.ask(body)[2]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(self.ask, body) for _ in range(4)]
            Server.until(lambda: self.servers[name].busy_slots(), words="nobody is at work")
            self.servers[name].process.send_signal(signal.SIGTERM)
            self.assertEqual({answer.result()[1] for answer in answers}, {expected})
        self.assertEqual(self.ask(body)[1], expected)


if __name__ == "__main__":
    if HAPROXY is None:
        print("haproxy is missing")
        sys.exit(77)
    unittest.main()
