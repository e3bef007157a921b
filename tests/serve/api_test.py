#!/usr/bin/env python3
"""What the endpoints of tern serve answer, field by field. Python's standard library only.

    api_test.py TERN [words in names of tests]
"""

import base64
import gzip
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

from server import Models, Server

import chain_model

TERN = os.path.abspath(sys.argv.pop(1))
SENTENCE = "I am a very tiny model \u2713."


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(TERN, Models.get(), "chain.gguf", "--parallel", "4")
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def assert_refused(self, answer, param, *words, status=400):
        self.assertEqual(answer.status, status, answer.body)
        error = answer.error()
        self.assertEqual(error["param"], param, error)
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        for word in words:
            self.assertIn(word, error["message"])

    # ---- Chat ---------------------------------------------------------------------------------------------------------

    def test_chat(self):
        body = self.server.chat().json()
        self.assertRegex(body["id"], r"^chatcmpl-[0-9A-Za-z]{24}$")
        self.assertEqual((body["object"], body["model"]), ("chat.completion", "chain"))
        self.assertRegex(body["system_fingerprint"], r"^fp_[0-9a-f]{16}$")
        self.assertEqual(body["choices"], [{"index": 0, "message": {"role": "assistant", "content": SENTENCE,
                                                                    "refusal": None},
                                            "logprobs": None, "finish_reason": "stop"}])
        usage = body["usage"]
        self.assertEqual(usage["completion_tokens"], 9)
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + 9)
        self.assertEqual(usage["completion_tokens_details"], {"reasoning_tokens": 0})

    def test_stream_says_the_same(self):
        events = self.server.stream()
        self.assertEqual(events.pop(), "[DONE]")
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
        self.assertEqual(text, SENTENCE)
        self.assertEqual([event["choices"][0]["finish_reason"] for event in events][-1], "stop")
        self.assertEqual(len({event["id"] for event in events}), 1)
        self.assertTrue(all(event["object"] == "chat.completion.chunk" for event in events))
        self.assertNotIn("usage", events[0])

    def test_stream_with_usage(self):
        *events, last, done = self.server.stream(stream_options={"include_usage": True})
        self.assertTrue(all(event["usage"] is None for event in events))
        self.assertEqual((last["choices"], last["usage"]["completion_tokens"], done), ([], 9, "[DONE]"))

    def test_lengths(self):
        for name in ("max_tokens", "max_completion_tokens"):
            choice = self.server.chat(**{name: 3}).json()["choices"][0]
            self.assertEqual((choice["message"]["content"], choice["finish_reason"]), ("I am a", "length"))

    def test_characters_are_whole(self):
        # The check mark is made of two tokens; an answer that ends between them has half of it.
        choice = self.server.chat(max_tokens=7).json()["choices"][0]
        self.assertEqual(choice["message"]["content"], "I am a very tiny model \ufffd")
        for event in self.server.stream()[:-1]:
            self.assertNotIn("\ufffd", str(event))

    def test_stop(self):
        for stop, text in ((" very", "I am a"), (["tin", "zzz"], "I am a very "), (["m a"], "I a"), ("I", ""),
                           (["nothing of this"], SENTENCE), (None, SENTENCE)):
            body = self.server.chat(stop=stop).json()
            self.assertEqual(body["choices"][0]["message"]["content"], text)
            self.assertEqual(body["choices"][0]["finish_reason"], "stop")
        body = self.server.chat(stop=" very").json()
        self.assertEqual(body["usage"]["completion_tokens"], 4)  # the tokens that were read up to it

    def test_several_answers(self):
        body = self.server.chat(n=3, temperature=0).json()
        self.assertEqual([choice["index"] for choice in body["choices"]], [0, 1, 2])
        self.assertEqual({choice["message"]["content"] for choice in body["choices"]}, {SENTENCE})
        self.assertEqual(body["usage"]["completion_tokens"], 27)
        events = self.server.stream(n=2)
        for index in range(2):
            text = "".join(choice["delta"].get("content", "") for event in events[:-1] for choice in event["choices"]
                           if choice["index"] == index)
            self.assertEqual(text, SENTENCE)

    def test_seeds(self):
        # Without truncation every token may come; the same seed says the same, another something else.
        wild = dict(temperature=50, top_k=0, top_p=1, min_p=0, max_tokens=20)
        say = lambda **fields: self.server.chat(**{**wild, **fields}).json()["choices"][0]["message"]["content"]
        self.assertEqual(say(seed=5), say(seed=5))
        self.assertNotEqual(say(seed=5), say(seed=6))
        self.assertNotEqual(say(), say())
        two = self.server.chat(n=2, seed=5, **wild).json()["choices"]
        self.assertEqual([choice["message"]["content"] for choice in two], [say(seed=5), say(seed=6)])

    def test_logprobs(self):
        choice = self.server.chat(logprobs=True, top_logprobs=2).json()["choices"][0]
        entries = choice["logprobs"]["content"]
        self.assertEqual(b"".join(bytes(entry["bytes"]) for entry in entries).decode(), SENTENCE)
        self.assertEqual(entries[0]["token"], "I")
        for entry in entries:
            self.assertLessEqual(entry["logprob"], 0)
            self.assertEqual(len(entry["top_logprobs"]), 2)
            self.assertEqual(entry["top_logprobs"][0]["bytes"], entry["bytes"])  # temperature 0 takes the first
        streamed = [entry for event in self.server.stream(logprobs=True, top_logprobs=2)[:-1]
                    for choice in event["choices"] if choice["logprobs"] for entry in choice["logprobs"]["content"]]
        self.assertEqual(streamed, entries)
        stopped = self.server.chat(logprobs=True, stop=" very").json()["choices"][0]
        self.assertEqual([entry["token"] for entry in stopped["logprobs"]["content"]], ["I", " am", " a"])

    def test_top_k_of_all(self):
        wild = dict(temperature=50, top_p=1, min_p=0, max_tokens=20, seed=5)
        all_of_them, vllm = (self.server.chat(top_k=k, **wild).json()["choices"] for k in (0, -1))
        self.assertEqual(vllm, all_of_them)

    def test_penalties_are_of_the_answer(self):
        # "I" and the mark that ends a message stand in the prompt, which is no reason not to say them.
        choice = self.server.chat("I", presence_penalty=100, frequency_penalty=100).json()["choices"][0]
        self.assertEqual((choice["message"]["content"], choice["finish_reason"]), (SENTENCE, "stop"))

    def test_logit_bias(self):
        (token,) = self.server.post("/tokenize", {"content": "I"}).json()["tokens"]
        choice = self.server.chat(logit_bias={str(token): -100}, max_tokens=3).json()["choices"][0]
        self.assertNotIn("I", choice["message"]["content"])

    def test_roles_and_parts(self):
        messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "2"}, {"role": "user", "content": "c"}]
        answer = self.server.post("/apply-template", {"messages": messages})
        prompt = answer.json()["prompt"]
        self.assertIn("<|im_start|>system\nBe brief.", prompt)
        self.assertIn("<|im_start|>user\nab<|im_end|>", prompt)
        self.assertIn("\"name\": \"f\"", prompt.replace("\"name\":\"f\"", "\"name\": \"f\""))
        self.assertTrue(prompt.endswith("<|im_start|>assistant\n"))
        self.assertEqual(self.server.post("/v1/chat/completions", {"messages": messages, "temperature": 0}).status, 200)

    def test_begun_answer(self):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I"}]
        body = self.server.post("/v1/chat/completions", {"messages": messages, "temperature": 0,
                                                         "continue_final_message": True}).json()
        self.assertEqual(body["choices"][0]["message"]["content"], SENTENCE[1:])
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for last in ({"role": "user", "content": "Well?"}, {"role": "assistant", "tool_calls": [call]},
                     {"role": "assistant", "content": "I", "tool_calls": [call]}):
            answer = self.server.chat(messages=[messages[0], last], continue_final_message=True)
            self.assert_refused(answer, "continue_final_message")

    def test_any_model_name(self):
        self.assertEqual(self.server.chat(model="gpt-4o").json()["model"], "chain")

    def test_fields_that_change_nothing(self):
        self.assertEqual(self.server.chat(store=True, metadata={"a": "b"}, service_tier="auto", user="me").status, 200)
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max"):
            self.assertEqual(self.server.chat(reasoning_effort=effort).status, 200, effort)
        self.assertEqual(self.server.chat(modalities=["text"], functions=[], function_call="none").status, 200)

    # ---- What is refused ----------------------------------------------------------------------------------------------

    def test_wrong_fields(self):
        for fields, param in (
                (dict(messages=None), "messages"), (dict(messages="hi"), "messages"), (dict(messages=[]), "messages"),
                (dict(messages=["hi"]), "messages[0]"), (dict(messages=[{"content": "x"}]), "messages[0].role"),
                (dict(messages=[{"role": "king", "content": "x"}]), "messages[0].role"),
                (dict(messages=[{"role": "user"}]), "messages[0].content"),
                (dict(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
                (dict(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
                 "messages[0].content[0].type"),
                (dict(messages=[{"role": "assistant"}]), "messages[0].content"),
                (dict(messages=[{"role": "assistant", "tool_calls": [{"function": {}}]}]),
                 "messages[0].tool_calls[0].function.name"),
                (dict(temperature="hot"), "temperature"), (dict(temperature=-1), "temperature"),
                (dict(top_p=2), "top_p"), (dict(n=0), "n"), (dict(n=1.5), "n"), (dict(n=1000), "n"),
                (dict(seed="x"), "seed"), (dict(stop=5), "stop"), (dict(stop=["a"] * 17), "stop"),
                (dict(stop=[5]), "stop"), (dict(stop="x" * 2000), "stop"),
                (dict(max_tokens=0), "max_tokens"), (dict(max_completion_tokens="x"), "max_completion_tokens"),
                (dict(top_logprobs=3), "top_logprobs"), (dict(logprobs=True, top_logprobs=21), "top_logprobs"),
                (dict(logit_bias={"x": 1}), "logit_bias"), (dict(logit_bias={"1": 101}), "logit_bias"),
                (dict(logit_bias=[1]), "logit_bias"), (dict(stream="yes"), "stream"),
                (dict(stream_options={"include_usage": 1}), "stream_options.include_usage"),
                (dict(reasoning_effort="huge"), "reasoning_effort"), (dict(model=5), "model"),
                (dict(response_format={"type": "xml"}), "response_format.type"),
                (dict(response_format={"type": "json_schema"}), "response_format.json_schema"),
                (dict(response_format={"type": "json_schema", "json_schema": {"name": "a"}}),
                 "response_format.json_schema.schema"),
                (dict(tools=[{"type": "function"}]), "tools[0].function"),
                (dict(tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
                (dict(functions=[{"name": "f", "parameters": {"type": "object"}}]), "functions"),
                (dict(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}), "modalities"),
                (dict(tool_choice="maybe"), "tool_choice"), (dict(tool_choice="required"), "tool_choice"),
                (dict(tool_choice={"type": "function", "function": {"name": "f"}}), "tool_choice.function.name"),
                (dict(tool_choice={"type": "allowed_tools"}), "tool_choice.allowed_tools"),
                (dict(tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}),
                 "tool_choice.allowed_tools.tools")):
            with self.subTest(fields=str(fields)[:80]):
                self.assert_refused(self.server.chat(**fields), param)

    def test_token_out_of_the_vocabulary(self):
        answer = self.server.chat(logit_bias={"99999999": 1})
        self.assertEqual(answer.status, 400)
        self.assertIn("99999999", answer.error()["message"])

    def test_prompt_too_long(self):
        answer = self.server.chat("long " * 2000)
        self.assert_refused(answer, "messages", "512 tokens")
        self.assertEqual(answer.error()["code"], "context_length_exceeded")
        for text in ("long " * 2000, "long " * 100000):  # counted in tokens and in bytes
            message = self.server.chat(text).error()["message"]
            for words in ("prompt is too long: ", "this model's maximum context length is "):  # what LiteLLM looks for
                self.assertIn(words, message)

    def test_paths_and_methods(self):
        self.assert_refused(self.server.get("/v2/chat"), None, status=404)
        answer = self.server.get("/v1/chat/completions")
        self.assert_refused(answer, None, status=405)
        self.assertEqual(answer.headers["Allow"], "POST, OPTIONS")
        self.assertEqual(self.server.ask("DELETE", "/v1/models").status, 405)
        self.assertEqual(self.server.ask("BREW", "/health").status, 405)
        head = self.server.ask("HEAD", "/v1/models")
        self.assertEqual((head.status, head.body), (200, b""))
        options = self.server.ask("OPTIONS", "/v1/chat/completions")
        self.assertEqual(options.status, 204)
        self.assertIsNone(options.headers["Access-Control-Allow-Origin"])

    # ---- Completions --------------------------------------------------------------------------------------------------

    def test_completion(self):
        body = self.server.post("/v1/completions", {"prompt": "I", "temperature": 0}).json()
        self.assertRegex(body["id"], r"^cmpl-")
        self.assertEqual(body["object"], "text_completion")
        self.assertEqual(body["choices"], [{"index": 0, "text": SENTENCE[1:], "logprobs": None,
                                            "finish_reason": "stop"}])

    def test_completion_prompts(self):
        ids = self.server.post("/tokenize", {"content": "I"}).json()["tokens"]
        text = SENTENCE[1:]
        for prompt, texts in ((["I", "a\n"], [text, SENTENCE]), (ids, [text]), ([ids, ids], [text, text])):
            body = self.server.post("/v1/completions", {"prompt": prompt, "temperature": 0}).json()
            self.assertEqual([choice["text"] for choice in body["choices"]], texts)
        body = self.server.post("/v1/completions", {"prompt": ["I", "a\n"], "n": 2, "temperature": 0, "echo": True})
        self.assertEqual([choice["text"] for choice in body.json()["choices"]],
                         [SENTENCE, SENTENCE, "a\n" + SENTENCE, "a\n" + SENTENCE])
        for wrong in (None, [], 5, [None], {"a": 1}, [[1], "x", {}], [-1], [99999999]):
            self.assertEqual(self.server.post("/v1/completions", {"prompt": wrong}).status, 400, wrong)
        self.assert_refused(self.server.post("/v1/completions", {"prompt": "I", "suffix": "x"}), "suffix")
        self.assert_refused(self.server.post("/v1/completions", {"prompt": "I", "best_of": 3}), "best_of")
        for prompt in (ids, [ids, "I"], ["I", ids]):
            for stream in (False, True):
                self.assert_refused(self.server.post("/v1/completions", {"prompt": prompt, "echo": True, "max_tokens": 1,
                                                                         "stream": stream}), "echo")

    def test_completion_length(self):
        # OpenAI's default of 16 tokens.
        wild = {"prompt": "I", "temperature": 50, "top_k": 0, "top_p": 1, "min_p": 0, "ignore_eos": True}
        self.assertEqual(self.server.post("/v1/completions", wild).json()["usage"]["completion_tokens"], 16)

    def test_completion_stream(self):
        events = self.server.stream("/v1/completions", prompt="I", logprobs=1)
        self.assertEqual(events.pop(), "[DONE]")
        self.assertEqual("".join(event["choices"][0]["text"] for event in events), SENTENCE[1:])
        offsets = [offset for event in events if event["choices"][0]["logprobs"]
                   for offset in event["choices"][0]["logprobs"]["text_offset"]]
        self.assertEqual(offsets, [0, 3, 5, 10, 15, 22, 24, 25])

    # ---- Embeddings ---------------------------------------------------------------------------------------------------

    def embed(self, **fields):
        body = self.server.post("/v1/embeddings", fields).json()
        self.assertEqual(body["object"], "list")
        return [item["embedding"] for item in body["data"]]

    def test_embeddings(self):
        (one,) = self.embed(input="I am a tiny model")
        self.assertEqual(len(one), 128)
        self.assertAlmostEqual(math.fsum(x * x for x in one), 1, places=5)
        ids = self.server.post("/tokenize", {"content": "I am a tiny model"}).json()["tokens"]
        for same in (self.embed(input=["I am a tiny model"])[0], self.embed(input=ids)[0], self.embed(input=[ids])[0]):
            self.assertEqual(same, one)
        (packed,) = self.embed(input="I am a tiny model", encoding_format="base64")
        self.assertEqual(struct.unpack("<128f", base64.b64decode(packed)),
                         struct.unpack("<128f", struct.pack("<128f", *one)))

    def test_embedding_pooling(self):
        ids = self.server.post("/tokenize", {"content": "I am a tiny model"}).json()["tokens"]
        raw = lambda **fields: self.embed(normalize=False, **fields)[0]
        # The first token's row is that of a text of one token; the mean of one row is the row.
        first = raw(input=ids[:1], pooling="last")
        self.assertEqual(raw(input=ids, pooling="cls"), first)
        self.assertEqual(raw(input=ids[:1], pooling="mean"), first)
        rows = [raw(input=ids[:n + 1], pooling="last") for n in range(len(ids))]
        mean = raw(input=ids)
        for i, value in enumerate(mean):
            self.assertAlmostEqual(value, sum(row[i] for row in rows) / len(rows), places=4)

    def test_many_embeddings(self):
        # More than may run and wait at once: they take turns. Clients of OpenAI's send up to 2048 in one request.
        texts = [f"text number {i}" for i in range(300)]
        answer = self.server.post("/v1/embeddings", {"input": texts}).json()
        self.assertEqual([entry["index"] for entry in answer["data"]], list(range(300)))
        self.assertEqual({entry["object"] for entry in answer["data"]}, {"embedding"})
        self.assertEqual((answer["object"], answer["model"]), ("list", "chain"))
        self.assertEqual(answer["usage"]["total_tokens"], answer["usage"]["prompt_tokens"])
        for i in (7, 299):
            self.assertEqual(answer["data"][i]["embedding"], self.embed(input=texts[i])[0])
        self.assertEqual(len(self.embed(input=["a"] * 2048)), 2048)

    def test_embeddings_refused(self):
        for fields, param in ((dict(), "input"), (dict(input=[]), "input"), (dict(input=""), "input"),
                              (dict(input=["a", ""]), "input"), (dict(input=5), "input"),
                              (dict(input="a", pooling="max"), "pooling"),
                              (dict(input="a", encoding_format="hex"), "encoding_format"),
                              (dict(input="a", dimensions=129), "dimensions"), (dict(input="a " * 600), "input"),
                              (dict(input=["a"] * 2049), "input")):
            self.assert_refused(self.server.post("/v1/embeddings", fields), param)

    # ---- The rest -----------------------------------------------------------------------------------------------------

    def test_models(self):
        body = self.server.get("/v1/models").json()
        self.assertEqual([model["id"] for model in body["data"]], ["chain"])
        model = self.server.get("/v1/models/chain").json()
        self.assertEqual((model["object"], model["owned_by"], model["meta"]["n_ctx"]), ("model", "tern", 512))
        answer = self.server.get("/v1/models/other")
        self.assert_refused(answer, None, status=404)
        self.assertEqual(answer.error()["code"], "model_not_found")

    def test_tokens(self):
        body = self.server.post("/tokenize", {"content": "the th\u00f6", "with_pieces": True}).json()
        self.assertEqual([token["piece"] for token in body["tokens"]], ["th", "e", " ", "th", [0xc3], [0xb6]])
        ids = [token["id"] for token in body["tokens"]]
        self.assertEqual(self.server.post("/detokenize", {"tokens": ids}).json()["content"], "the th\u00f6")
        self.assertEqual(self.server.post("/tokenize", {"content": "<|im_end|>"}).json()["count"], 1)
        self.assertEqual(self.server.post("/tokenize", {"content": "<|im_end|>", "parse_special": False}).json()["count"],
                         10)
        for path, body, param in (("/tokenize", {}, "content"), ("/tokenize", {"content": 5}, "content"),
                                  ("/detokenize", {}, "tokens"), ("/detokenize", {"tokens": [-1]}, "tokens"),
                                  ("/detokenize", {"tokens": ["x"]}, "tokens")):
            self.assert_refused(self.server.post(path, body), param)

    def test_props_and_slots(self):
        props = self.server.get("/props?model=chain").json()
        self.assertEqual(props["default_generation_settings"]["n_ctx"], 512)
        self.assertEqual(props["models"][0]["abilities"], {"chat": True, "thinking": False, "tools": False})
        self.assertEqual(len(self.server.get("/slots").json()), 4)

    def test_metrics(self):
        before = self.server.metric("tern_generated_tokens_total")
        counted = self.server.metric("tern_time_to_first_token_seconds_count")
        self.server.chat()
        self.server.until(lambda: self.server.metric("tern_generated_tokens_total") >= before + 9)
        self.assertEqual(self.server.metric("tern_time_to_first_token_seconds_count"), counted + 1)
        text = self.server.get("/metrics").body.decode()
        for name in ("tern_requests_total", "tern_requests_waiting", "tern_prompt_tokens_total",
                     "tern_cached_tokens_total", "tern_time_per_token_seconds_bucket", "tern_kv_bytes",
                     "process_resident_memory_bytes", "tern_connections", "tern_info"):
            self.assertRegex(text, rf"(?m)^{name}[ {{]")
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? -?[0-9.e+-]+)$')

    def test_request_ids(self):
        self.assertRegex(self.server.get("/health").headers["X-Request-Id"], r"^req_[0-9A-Za-z]{24}$")
        self.assertEqual(self.server.get("/health", X_Request_Id="abc-1.2_3").headers["X-Request-Id"], "abc-1.2_3")
        for bad in ("a b", "x" * 65, "<script>", "a;b"):
            self.assertRegex(self.server.get("/health", X_Request_Id=bad).headers["X-Request-Id"], r"^req_")

    def test_page(self):
        answer = self.server.get("/")
        if answer.status == 404:
            self.skipTest("this tern was built without its page")
        self.assertEqual(answer.headers["Content-Type"], "text/html; charset=utf-8")
        policy = answer.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer")
        again = self.server.get("/", If_None_Match=answer.headers["ETag"])
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(self.server.get("/../../etc/passwd").status, 404)

    def find_file(self, *names):
        """The path of a file of the page, by patterns of names: the first stands in the page, the next in that file."""
        at, path = "/", ""
        for name in names:
            answer = self.server.get(at)
            if answer.status == 404:
                self.skipTest("this tern was built without its page")
            path = at = "/assets/" + re.search(name, answer.body.decode())[0]
        return path

    def test_page_is_compressed(self):
        script = self.find_file(r"index-[\w-]+\.js")
        plain, packed = self.server.get(script), self.server.get(script, Accept_Encoding="gzip, deflate, br")
        self.assertIsNone(plain.headers["Content-Encoding"])
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertLess(len(packed.body), len(plain.body) / 2)
        self.assertNotEqual(packed.headers["ETag"], plain.headers["ETag"])
        for answer in plain, packed:
            self.assertEqual(answer.headers["Vary"], "Accept-Encoding")
            self.assertEqual(answer.headers["Content-Type"], "text/javascript; charset=utf-8")
            self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))

    def test_known_page(self):
        style = self.find_file(r"index-[\w-]+\.css")
        tags = {coding: self.server.get(style, Accept_Encoding=coding).headers["ETag"] for coding in ("gzip", "identity")}
        for coding, tag in tags.items():
            known = self.server.get(style, Accept_Encoding=coding, If_None_Match=f'"other", W/{tag}')
            self.assertEqual((known.status, known.body), (304, b""))
            self.assertEqual((known.headers["ETag"], known.headers["Vary"]), (tag, "Accept-Encoding"))
            self.assertIsNone(known.headers["Content-Encoding"])
        self.assertEqual(self.server.get(style, Accept_Encoding="identity", If_None_Match=tags["gzip"]).status, 200)

    def test_who_gets_compressed_pages(self):
        script = self.find_file(r"index-[\w-]+\.js")
        takes = ["gzip", "br, GZIP", "x-gzip", "*", "gzip;q=0.001", "deflate,gzip ; q=1", "br;q=0, *;q=0.5"]
        refuses = ["", "identity", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzipped", "not-gzip", "br;gzip",
                   ";,=,*x"]
        for header in takes + refuses:
            with self.subTest(header):
                coding = self.server.get(script, Accept_Encoding=header).headers["Content-Encoding"]
                self.assertEqual(coding, "gzip" if header in takes else None)

    def test_fonts_are_compressed_already(self):
        font = self.find_file(r"index-[\w-]+\.js", r"typeset-[\w-]+\.css", r"[\w-]+\.woff2")
        answer = self.server.get(font, Accept_Encoding="gzip")
        self.assertEqual((answer.headers["Content-Type"], answer.body[:4]), ("font/woff2", b"wOF2"))
        self.assertEqual((answer.headers["Content-Encoding"], answer.headers["Vary"]), (None, None))


class Defaults(unittest.TestCase):
    def test_help_says_how_many(self):
        with Server(TERN, Models.get(), "chain.gguf") as server:
            slots = server.get("/props").json()["total_slots"]
            self.assertEqual(len(server.get("/slots").json()), slots)
        words = subprocess.run([TERN, "serve", "--help"], capture_output=True, text=True, check=True).stdout.split()
        self.assertIn(f"answers in progress at once, default {slots}", " ".join(words))


class Broken(unittest.TestCase):
    def test_rows_that_are_no_numbers(self):
        with tempfile.TemporaryDirectory(prefix="tern-broken-") as folder:
            path = os.path.join(folder, "broken.gguf")
            chain_model.write_model(path)
            with open(path, "rb") as file:
                head, _, tail = file.read().rpartition(struct.pack("<128f", *[1.0] * 128))  # the last norm
            with open(path, "wb") as file:
                file.write(head + struct.pack("<128f", *[math.nan] * 128) + tail)
            with Server(TERN, folder, "broken.gguf") as server:
                for encoding in ("float", "base64"):
                    answer = server.post("/v1/embeddings", {"input": "x", "encoding_format": encoding})
                    self.assertEqual(answer.status, 500, answer.body)
                    self.assertIn("no finite numbers", answer.error()["message"])


class Places(unittest.TestCase):
    def test_more_answers_than_places(self):
        # Waiting would not help: it is no 429.
        with Server(TERN, Models.get(), "chain.gguf", "--parallel", "2", "--queue", "1") as server:
            self.assertEqual(len(server.chat(n=3).json()["choices"]), 3)
            answers = server.chat(n=4), server.post("/v1/completions", {"prompt": ["I"] * 2, "n": 2})
            for answer in answers:
                self.assertEqual((answer.status, answer.error()["param"]), (400, "n"))
                self.assertIn("at most 3", answer.error()["message"])


class Thinking(unittest.TestCase):
    def test_reasoning(self):
        with Server(TERN, Models.get(), "thoughtful.gguf") as server:
            message = server.chat().json()["choices"][0]["message"]
            self.assertEqual((message["reasoning_content"], message["content"]), ("Hm, well", "Yes."))
            events = server.stream(stream_options={"include_usage": True})
            deltas = [choice["delta"] for event in events[:-1] for choice in event["choices"]]
            self.assertEqual("".join(delta.get("reasoning_content", "") for delta in deltas), "Hm, well")
            self.assertEqual("".join(delta.get("content", "") for delta in deltas), "Yes.")
            self.assertGreater(events[-2]["usage"]["completion_tokens_details"]["reasoning_tokens"], 1)

    def test_budget(self):
        with Server(TERN, Models.get(), "pondering.gguf") as server:
            choice = server.chat(max_tokens=50).json()["choices"][0]
            self.assertEqual((choice["message"]["content"], choice["finish_reason"]), ("", "length"))
            self.assertEqual(choice["message"]["reasoning_content"].count("Hm"), 13)
            body = server.chat(thinking_budget=6, max_tokens=8).json()
            choice = body["choices"][0]
            # Six tokens of thinking, then what ends it, then the answer: the words that come after a line's end.
            self.assertEqual(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 6)
            self.assertEqual(choice["message"]["content"], "Hm and")

    def test_penalties_of_what_was_thought(self):
        with Server(TERN, Models.get(), "pondering.gguf") as server:
            penalties = dict(presence_penalty=100, frequency_penalty=100)
            message = server.chat(thinking_budget=3, max_tokens=9, **penalties).json()["choices"][0]["message"]
            self.assertEqual(message["reasoning_content"].strip(), "Hm and yet")
            self.assertNotIn("Hm", message["content"])

    def test_stop_where_the_budget_ends(self):
        # The stop string is complete with the last token that thinking may take, or with the mark that is put behind it:
        # nothing is gone on with.
        with Server(TERN, Models.get(), "pondering.gguf") as server:
            for taken, (stop, thought) in enumerate(((" and", "Hm"), ("</think>", "Hm and\n")), 1):
                choice = server.chat(thinking_budget=2, stop=stop).json()["choices"][0]
                self.assertEqual((choice["message"]["reasoning_content"], choice["message"]["content"]), (thought, ""))
                self.assertEqual(choice["finish_reason"], "stop")
                self.assertEqual(server.metric("tern_requests_taken_total"), taken)


if __name__ == "__main__":
    unittest.main()
