#!/usr/bin/env python3
"""Conversations on a pseudo-terminal, and Ctrl-C. Python's standard library only.

    chat_test.py TERN
"""

import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

import models
from terminal import TIMEOUT, Terminal

TERN = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
SENTENCE = "I am a very tiny model \u2713."


class Chat(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = self.place.name
        models.write_all(self.folder)

    def tearDown(self):
        self.place.cleanup()

    def start(self, model="chain.gguf", *arguments, **environment):
        return Terminal(TERN, self.folder, "run", model, "--temp", "0", *arguments, **environment)

    def file(self, *path):
        return os.path.join(self.folder, *path)

    def test_answers_and_quits(self):
        t = self.start()
        t.expect("Chain (llama, context of 512 tokens)")
        t.line("Who are you?")
        t.expect(SENTENCE)
        t.expect("31 tokens read")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_control_d_quits(self):
        t = self.start()
        t.prompt()
        t.type("\x04")
        self.assertEqual(t.wait(), 0)

    def test_only_new_tokens_are_read(self):
        t = self.start("plain.gguf")
        t.line("Hello")
        t.expect("thou")
        t.expect("24 tokens read")
        t.line("Again")
        # What was asked and answered is in the cache. New are "<|im_end|>\n" and another turn like the first.
        t.expect("26 tokens read")
        t.line("/system Be brief.")  # changes the beginning: all is new
        t.line("Again")
        t.expect("100 tokens read")
        t.line("/stats")
        t.expect("of 512 tokens of context in use, 6 messages (0 left out), 3 answers")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_control_c_stops_the_answer_only(self):
        t = self.start("endless.gguf")
        t.line("Sing")
        t.expect("la di da")
        t.type("\x03")
        t.expect("(stopped)")
        t.prompt()
        t.type("half a line\x03")
        t.expect("(/quit or Ctrl-D leaves)")
        t.line("Sing again")
        t.expect("la di da")
        t.type("\x03")
        t.expect("(stopped)")
        t.line("/save talk.json")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("talk.json")) as file:
            messages = json.load(file)
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"], ["Sing", "Sing again"])
        self.assertRegex(messages[1]["content"], r"\Ala di da")  # what was said before stays said

    def test_thinking_is_dimmed(self):
        t = self.start("thoughtful.gguf")
        t.line("hi")
        t.expect("\x1b[2m<think>Hm, well</think>\x1b[0mYes.")
        t.line("/save talk.json")
        t.expect("2 messages saved")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("talk.json")) as file:
            answer = json.load(file)[1]
        self.assertEqual(answer, {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm, well"})

    def test_thinking_may_begin_in_the_prompt(self):
        t = self.start("opened.gguf")
        t.line("hi")
        t.expect("\x1b[2mHm</think>\x1b[0mYes")
        t.line("/save talk.json")
        t.expect("2 messages saved")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("talk.json")) as file:
            answer = json.load(file)[1]
        self.assertEqual(answer, {"role": "assistant", "content": "Yes", "reasoning_content": "Hm"})

    def test_no_color_is_respected(self):
        t = self.start("thoughtful.gguf", NO_COLOR="1")
        t.line("hi")
        t.expect("<think>Hm, well</think>Yes.")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        self.assertNotRegex(t.seen, r"\x1b\[[0-9]*m")

    def test_a_model_cannot_steer_the_terminal(self):
        t = self.start("hostile.gguf")
        t.expect("Bad \ufffd[31m name")
        t.line("hi")
        t.expect("\ufffd[2J boo")
        t.line("/quit")
        t.wait()
        self.assertNotIn("\x1b[2J", t.seen)

    def test_save_clear_load(self):
        t = self.start("chain.gguf", "--system", "Be brief.")
        t.line("Who are you?")
        t.expect(SENTENCE)
        t.line("/save talk.json")
        t.expect("(2 messages saved to talk.json)")
        t.line("/clear")
        t.expect("the system prompt stays")
        t.line("/load talk.json")
        t.expect("(2 messages loaded from talk.json)")
        t.line("/load absent.json")
        t.expect("tern: absent.json: No such file or directory")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("talk.json")) as file:
            messages = json.load(file)
        self.assertEqual(messages, [{"role": "system", "content": "Be brief."},
                                    {"role": "user", "content": "Who are you?"},
                                    {"role": "assistant", "content": SENTENCE}])

    def test_saving_is_private_and_replaces_conversations_only(self):
        with open(self.file("notes.txt"), "w") as file:
            file.write("precious")
        with open(self.file("older.json"), "w") as file:
            file.write('[{"role": "user", "content": "x"}]')
        t = self.start()
        t.line("Who are you?")
        t.expect(SENTENCE)
        t.line("/save notes.txt")
        t.expect("tern: notes.txt: is no saved conversation, so it is not replaced")
        t.line("/save older.json")
        t.expect("(2 messages saved to older.json)")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("notes.txt")) as file:
            self.assertEqual(file.read(), "precious")
        with open(self.file("older.json")) as file:
            self.assertEqual(len(json.load(file)), 2)
        self.assertEqual(stat.S_IMODE(os.stat(self.file("older.json")).st_mode), 0o600)

    @unittest.skipUnless(hasattr(resource, "prlimit"), "bounds another process on Linux only")
    def test_a_full_disk_leaves_what_was_saved(self):
        t = self.start()
        t.line("Who are you?")
        t.expect(SENTENCE)
        t.line("/save talk.json")
        t.expect("(2 messages saved to talk.json)")
        t.prompt()
        with open(self.file("talk.json")) as file:
            saved = file.read()
        resource.prlimit(t.pid, resource.RLIMIT_FSIZE, (100, 100))  # Python has SIGXFSZ ignored, and so has its child
        t.type("/save talk.json\n")
        t.expect("File too large")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("talk.json")) as file:
            self.assertEqual(file.read(), saved)

    def test_broken_conversations_are_refused(self):
        broken = {"[1]": "message 1: expected an object", "{}": "expected a JSON array", "[": "broken.json:1:",
                  '[{"role": "king", "content": "x"}]': "message 1: expected an object",
                  '[{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]': "message 2: a system"}
        t = self.start()
        for text, message in broken.items():
            with open(self.file("broken.json"), "w") as file:
                file.write(text)
            t.line("/load broken.json")
            t.expect(message)
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_several_lines(self):
        t = self.start()
        t.prompt()
        t.type("one\\\n")
        t.prompt(". ")
        t.type("two\n")
        t.expect(SENTENCE)
        t.prompt()
        t.type('"""three\n')
        t.prompt(". ")
        t.type('four"""\n')
        t.expect(SENTENCE)
        t.line("/save talk.json")
        t.expect("4 messages saved")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        with open(self.file("talk.json")) as file:
            messages = json.load(file)
        self.assertEqual([messages[0]["content"], messages[2]["content"]], ["one\ntwo", "three\nfour"])

    def test_a_text_that_is_too_long_is_dropped_whole(self):
        t = self.start()
        t.prompt()
        t.paste('"""' + 1050 * ("x" * 999 + "\n") + 'the end"""\n')
        t.expect("tern: text of 1048")
        t.expect("bytes, the bound is 1048576")
        t.line("Who are you?")
        t.expect(SENTENCE)
        t.line("/save talk.json")
        t.expect("(2 messages saved to talk.json)")
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_commands_help(self):
        t = self.start()
        t.line("/help")
        t.expect("/system TEXT")
        t.line("/nonsense")
        t.expect("no command /nonsense; /help lists them")
        t.line("/save")
        t.expect("/save needs the name of a file")
        t.line("/system Speak up.")
        t.expect("system prompt set")
        t.line("/etc/passwd is a file")  # no command
        t.expect(SENTENCE)
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_utf8_is_typed(self):
        for language in ("C.UTF-8", ""):  # bare machines set none
            t = self.start("chain.gguf", LANG=language, LC_ALL=language)
            t.line("Grüße 世界")
            t.expect(SENTENCE)
            t.line("/save talk.json")
            t.expect("2 messages saved")
            t.line("/quit")
            self.assertEqual(t.wait(), 0)
            with open(self.file("talk.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file)[0]["content"], "Grüße 世界")

    def test_history_is_private_and_stays(self):
        t = self.start()
        t.line("A secret question")
        t.expect(SENTENCE)
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        path = self.file(".local", "state", "tern", "history")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        t = self.start()
        t.prompt()
        t.type("\x1b[A\x1b[A\n")  # up, up: before /quit
        t.expect("A secret question")
        t.expect(SENTENCE)
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_history_goes_where_xdg_says(self):
        t = self.start("chain.gguf", XDG_STATE_HOME=self.file("state"))
        t.line("/quit")
        self.assertEqual(t.wait(), 0)
        self.assertTrue(os.path.exists(self.file("state", "tern", "history")))

    def test_a_full_context_drops_the_oldest(self):
        t = self.start("short.gguf")
        for question in ("First", "Second"):
            t.line(question)
            t.expect(SENTENCE)
        t.line("Third")
        t.expect(SENTENCE)
        t.expect("(the context of 96 tokens is full: the oldest 2 messages are left out from now on)")
        t.line("/stats")
        t.expect("6 messages (2 left out)")
        t.line("x" * 100)
        t.expect("the context holds 96: shorten it")
        t.line("Fourth")
        t.expect(SENTENCE)
        t.line("/quit")
        self.assertEqual(t.wait(), 0)

    def test_a_missing_template_is_said(self):
        t = self.start("raw.gguf")
        t.expect("raw.gguf has no chat template")
        self.assertEqual(t.wait(), 1)

    def test_a_prompt_must_come_from_somewhere(self):
        t = self.start("chain.gguf", "--raw")
        t.expect("tern run: no prompt: give it as second word, with -p or -f, or pipe it in")
        self.assertEqual(t.wait(), 2)


class Interrupt(unittest.TestCase):
    def test_control_c_ends_one_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            models.write_all(folder)
            program = subprocess.Popen([TERN, "run", "endless.gguf", "Sing", "--temp", "0", "-q"], cwd=folder,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            self.assertEqual(program.stdout.read(8), b"la di da")
            program.send_signal(signal.SIGINT)
            rest = program.stdout.read()
            self.assertEqual(program.wait(TIMEOUT), 130)
            self.assertRegex(rest.decode(), re.compile(r"\A[ladi \n]*\n\Z"))
            program.stdout.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
