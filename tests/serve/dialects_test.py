#!/usr/bin/env python3
"""What /v1/responses and Anthropic's /v1/messages answer, event by event. Python's standard library only.

    dialects_test.py TERN [words in names of tests]
"""

import json
import os
import sys
import tempfile
import unittest

from server import Models, Server

import chain_model

TERN = os.path.abspath(sys.argv.pop(1))
SENTENCE = "I am a very tiny model \u2713."
HELLO = [{"role": "user", "content": "Hi"}]
CALLING = ["\n", "Let", " me", " see", ".\n", "<tool_call>", "{\"name\": \"", "look", "\", \"arguments\": ", "{\"at\": ",
           "\"sky\"", "}}", "</tool_call>", "<|im_end|>"]
LOOK = {"type": "object", "properties": {"at": {"enum": ["sky", "sea"]}}, "required": ["at"], "additionalProperties": False}


def events_of(answer):
    """[(name, data)] of a stream, without comments."""
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "text/event-stream", answer.headers
    events = []
    for block in answer.body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            assert lines[0].startswith("event: ") and lines[1].startswith("data: ") and len(lines) == 2, lines
            events.append((lines[0][7:], json.loads(lines[1][6:])))
    return events


class Dialect(unittest.TestCase):
    model = "chain.gguf"

    @classmethod
    def setUpClass(cls):
        cls.server = Server(TERN, Models.get(), cls.model, "--parallel", "4")
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def respond(self, **fields):
        return self.server.post("/v1/responses", {"input": "Hi", "temperature": 0, **fields})

    def message(self, **fields):
        return self.server.post("/v1/messages", {"messages": HELLO, "max_tokens": 50, "temperature": 0, **fields})


class Words(Dialect):
    def test_response(self):
        body = self.respond(instructions="Be brief.", metadata={"a": "b"}, max_output_tokens=50).json()
        self.assertRegex(body["id"], r"^resp_[0-9A-Za-z]{24}$")
        self.assertEqual((body["object"], body["status"], body["model"]), ("response", "completed", "chain"))
        item = body["output"][0]
        self.assertRegex(item.pop("id"), r"^msg_[0-9A-Za-z]{24}$")
        self.assertEqual(body["output"], [{"type": "message", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": SENTENCE, "annotations": [], "logprobs": []}]}])
        self.assertEqual((body["instructions"], body["metadata"], body["max_output_tokens"]), ("Be brief.", {"a": "b"}, 50))
        self.assertEqual((body["tools"], body["tool_choice"], body["parallel_tool_calls"]), ([], "auto", True))
        self.assertEqual((body["text"], body["error"], body["incomplete_details"]), ({"format": {"type": "text"}}, None, None))
        self.assertEqual((body["store"], body["previous_response_id"]), (False, None))
        self.assertEqual((body["temperature"], body["top_p"]), (0, 0.95))
        usage = body["usage"]
        self.assertEqual((usage["output_tokens"], usage["total_tokens"]), (9, usage["input_tokens"] + 9))
        self.assertEqual(usage["output_tokens_details"], {"reasoning_tokens": 0})

    def test_stream_of_a_response(self):
        events = events_of(self.respond(stream=True))
        self.assertEqual([data["type"] for _, data in events], [name for name, _ in events])
        self.assertEqual([data["sequence_number"] for _, data in events], list(range(len(events))))
        names = [name for name, _ in events]
        self.assertEqual(names[:4], ["response.created", "response.in_progress", "response.output_item.added",
                                     "response.content_part.added"])
        self.assertEqual(names[-4:], ["response.output_text.done", "response.content_part.done", "response.output_item.done",
                                      "response.completed"])
        deltas = events[4:-4]
        self.assertEqual({name for name, _ in deltas}, {"response.output_text.delta"})
        self.assertEqual("".join(data["delta"] for _, data in deltas), SENTENCE)
        item = events[-1][1]["response"]["output"][0]
        self.assertEqual({data["item_id"] for _, data in [events[3], *deltas, *events[-4:-2]]}, {item["id"]})
        self.assertEqual(events[2][1]["item"], {**item, "status": "in_progress", "content": []})
        self.assertEqual(events[-2][1]["item"], item)
        self.assertEqual(events[-3][1]["part"], item["content"][0])
        self.assertEqual(events[-4][1]["text"], SENTENCE)
        self.assertEqual(events[0][1]["response"]["status"], "in_progress")
        self.assertEqual(events[0][1]["response"]["id"], events[-1][1]["response"]["id"])

    def test_response_that_is_cut_off(self):
        body = self.respond(max_output_tokens=2).json()
        self.assertEqual((body["status"], body["incomplete_details"]), ("incomplete", {"reason": "max_output_tokens"}))
        self.assertEqual((body["output"][0]["status"], body["output"][0]["content"][0]["text"]), ("incomplete", "I am"))
        self.assertEqual(events_of(self.respond(max_output_tokens=2, stream=True))[-1][0], "response.incomplete")

    def test_logprobs_of_a_response(self):
        part = self.respond(include=["message.output_text.logprobs"], top_logprobs=2).json()["output"][0]["content"][0]
        self.assertEqual(b"".join(bytes(entry["bytes"]) for entry in part["logprobs"]).decode(), SENTENCE)
        self.assertEqual({len(entry["top_logprobs"]) for entry in part["logprobs"]}, {2})

    def test_message(self):
        body = self.message(system="Be brief.").json()
        self.assertRegex(body.pop("id"), r"^msg_[0-9A-Za-z]{24}$")
        usage = body.pop("usage")
        self.assertEqual(body, {"type": "message", "role": "assistant", "model": "chain", "stop_reason": "end_turn",
                                "stop_sequence": None, "content": [{"type": "text", "text": SENTENCE}]})
        self.assertEqual((usage["output_tokens"], usage["cache_creation_input_tokens"]), (9, 0))
        counted = self.server.post("/v1/messages/count_tokens", {"messages": HELLO, "system": "Be brief."}).json()
        self.assertEqual(counted, {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]})

    def test_count_of_more_than_the_context(self):
        messages = [{"role": "user", "content": "x" * 5000}]
        counted = self.server.post("/v1/messages/count_tokens", {"messages": messages})
        self.assertEqual(counted.status, 200)
        self.assertGreater(counted.json()["input_tokens"], 5000)

    def test_stream_of_a_message(self):
        events = events_of(self.message(stream=True))
        self.assertEqual([data["type"] for _, data in events], [name for name, _ in events])
        self.assertEqual([name for name, _ in events[:3]], ["message_start", "ping", "content_block_start"])
        start = events[0][1]["message"]
        self.assertEqual((start["content"], start["stop_reason"]), ([], None))
        self.assertGreater(start["usage"]["input_tokens"], 0)
        self.assertEqual(events[2][1], {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        self.assertEqual("".join(data["delta"]["text"] for _, data in events[3:-3]), SENTENCE)
        self.assertEqual({data["delta"]["type"] for _, data in events[3:-3]}, {"text_delta"})
        self.assertEqual(events[-3][1], {"type": "content_block_stop", "index": 0})
        self.assertEqual(events[-2][1]["delta"], {"stop_reason": "end_turn", "stop_sequence": None})
        self.assertEqual(events[-2][1]["usage"]["output_tokens"], 9)
        self.assertEqual(events[-1], ("message_stop", {"type": "message_stop"}))

    def test_ends_of_a_message(self):
        body = self.message(max_tokens=2).json()
        self.assertEqual((body["stop_reason"], body["content"]), ("max_tokens", [{"type": "text", "text": "I am"}]))
        body = self.message(stop_sequences=["nobody", " very"]).json()
        self.assertEqual((body["stop_reason"], body["stop_sequence"]), ("stop_sequence", " very"))
        self.assertEqual(body["content"], [{"type": "text", "text": "I am a"}])

    def test_begun_message(self):
        plain = self.server.post("/v1/messages/count_tokens", {"messages": HELLO}).json()["input_tokens"]
        begun = [*HELLO, {"role": "assistant", "content": "So:\n"}]  # a line's end is what the model's sentence follows
        body = self.message(messages=begun).json()
        self.assertEqual(body["content"], [{"type": "text", "text": SENTENCE}])
        self.assertEqual(body["usage"]["input_tokens"] + body["usage"]["cache_read_input_tokens"], plain + len("So:\n"))

    def assert_names_its_request(self, answer, request_id):
        self.assertTrue(request_id.startswith("req_"))
        self.assertEqual((answer.headers["request-id"], answer.headers["X-Request-Id"]), (request_id, request_id))

    def test_request_ids(self):
        answer = self.message()
        self.assert_names_its_request(answer, answer.headers["request-id"])
        refused = self.server.post("/v1/messages/count_tokens", {})
        self.assert_names_its_request(refused, refused.json()["request_id"])
        self.assertNotEqual(refused.headers["request-id"], answer.headers["request-id"])
        self.assertIsNone(self.respond().headers["request-id"])  # OpenAI's are called X-Request-Id

    def test_errors(self):
        answer = self.message(max_tokens="many")
        self.assertEqual((answer.status, answer.json()["type"]), (400, "error"))
        self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")
        self.assertIn("max_tokens", answer.json()["error"]["message"])
        self.assert_names_its_request(answer, answer.json()["request_id"])
        answer = self.respond(previous_response_id="resp_1")
        self.assertEqual((answer.status, answer.error()["param"]), (400, "previous_response_id"))
        answer = self.respond(input="word " * 600)
        self.assertEqual((answer.status, answer.error()["param"]), (400, "input"))
        self.assertRegex(answer.error()["message"], "^input: ")
        answer = self.message(messages=[{"role": "user", "content": "word " * 600}])
        self.assertEqual((answer.status, answer.json()["error"]["type"]), (400, "invalid_request_error"))

    def test_images(self):
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
        call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}, picture]}
        shown = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}]
        for answer, where in (
                (self.message(messages=[{"role": "user", "content": [picture]}]), "messages[0].content[0].type"),
                (self.message(messages=[*HELLO, {"role": "assistant", "content": [call]},
                                        {"role": "user", "content": [result]}]), "messages[2].content[0].content[1].type"),
                (self.respond(input=shown), "input[0].content[0].type")):
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.error()["message"].startswith(where + ": "), answer.error())
            self.assertIn("this server's models read text only", answer.error()["message"])

    def test_a_message_that_needs_what_was_kept(self):
        for thread in ({"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}):
            answer = self.message(thread=thread)
            self.assertEqual((answer.status, answer.error()["type"]), (400, "invalid_request_error"))
            self.assertEqual(answer.error()["details"], {"error_code": "thread_unsupported_request"})
        for name, value in (("compaction", {"type": "enabled"}), ("mcp_servers", [{"type": "url", "url": "x", "name": "x"}])):
            answer = self.message(**{name: value})
            self.assertEqual(answer.status, 400)
            self.assertRegex(answer.error()["message"], f"^{name}: ")
            self.assertNotIn("details", answer.error())
        self.assertEqual(self.message(thread=None, compaction=None, mcp_servers=[]).status, 200)


class Thinking(Dialect):
    model = "thoughtful.gguf"

    def test_response(self):
        thought, said = self.respond().json()["output"]
        self.assertEqual((thought["type"], thought["summary"]), ("reasoning", []))
        self.assertEqual(thought["content"], [{"type": "reasoning_text", "text": "Hm, well"}])
        self.assertEqual(said["content"][0]["text"], "Yes.")

    def test_stream_of_a_response(self):
        events = events_of(self.respond(stream=True))
        names = [name for name, _ in events]
        self.assertEqual([names.count(f"response.{name}") for name in (
            "output_item.added", "content_part.added", "reasoning_text.done", "output_text.done", "output_item.done")],
            [2, 2, 1, 1, 2])
        self.assertLess(names.index("response.reasoning_text.done"), names.index("response.output_text.delta"))
        text = "".join(data["delta"] for name, data in events if name == "response.reasoning_text.delta")
        self.assertEqual(text, "Hm, well")
        self.assertEqual({data["output_index"] for name, data in events if "output_text" in name}, {1})

    def test_message(self):
        content = self.message(thinking={"type": "adaptive"}).json()["content"]
        self.assertEqual(content, [{"type": "thinking", "thinking": "Hm, well", "signature": ""}, {"type": "text", "text": "Yes."}])
        events = events_of(self.message(thinking={"type": "adaptive"}, stream=True))
        starts = [data["content_block"]["type"] for name, data in events if name == "content_block_start"]
        self.assertEqual(starts, ["thinking", "text"])
        thought = "".join(data["delta"].get("thinking", "") for name, data in events if name == "content_block_delta")
        self.assertEqual(thought, "Hm, well")

    def test_message_without_thinking(self):
        for thinking in ({}, {"thinking": {"type": "disabled"}}):
            self.assertEqual([block["type"] for block in self.message(**thinking).json()["content"]], ["text"])
            events = events_of(self.message(stream=True, **thinking))
            starts = [data["content_block"]["type"] for name, data in events if name == "content_block_start"]
            self.assertEqual(starts, ["text"])


class Calls(Dialect):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tern-calls-")
        chain_model.write_model(os.path.join(cls.folder.name, "calling.gguf"), chain=CALLING, context=2048)
        cls.server = Server(TERN, cls.folder.name, "calling.gguf")
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.folder.cleanup()

    tools = [{"type": "function", "name": "look", "parameters": LOOK}]
    anthropic_tools = [{"name": "look", "input_schema": LOOK}]

    def test_response(self):
        said, call = self.respond(tools=self.tools).json()["output"]
        self.assertEqual(said["content"][0]["text"], "Let me see.")
        self.assertRegex(call.pop("id"), r"^fc_")
        self.assertRegex(call.pop("call_id"), r"^call_")
        self.assertEqual(call, {"type": "function_call", "status": "completed", "name": "look", "arguments": "{\"at\": \"sky\"}"})

    def test_stream_of_a_response(self):
        events = events_of(self.respond(tools=self.tools, stream=True))
        added = [data["item"] for name, data in events if name == "response.output_item.added"]
        self.assertEqual([item["type"] for item in added], ["message", "function_call"])
        self.assertEqual((added[1]["name"], added[1]["arguments"], added[1]["status"]), ("look", "", "in_progress"))
        deltas = [data for name, data in events if name == "response.function_call_arguments.delta"]
        self.assertEqual("".join(data["delta"] for data in deltas), "{\"at\": \"sky\"}")
        self.assertEqual({(data["item_id"], data["output_index"]) for data in deltas}, {(added[1]["id"], 1)})
        done = next(data for name, data in events if name == "response.function_call_arguments.done")
        self.assertEqual(done["arguments"], "{\"at\": \"sky\"}")
        self.assertEqual(events[-1][0], "response.completed")

    def test_message(self):
        body = self.message(tools=self.anthropic_tools).json()
        self.assertEqual(body["stop_reason"], "tool_use")
        self.assertRegex(body["content"][1].pop("id"), r"^toolu_[0-9A-Za-z]{24}$")
        self.assertEqual(body["content"], [{"type": "text", "text": "Let me see."},
                                           {"type": "tool_use", "name": "look", "input": {"at": "sky"}}])

    def test_stream_of_a_message(self):
        events = events_of(self.message(tools=self.anthropic_tools, stream=True))
        starts = [data["content_block"] for name, data in events if name == "content_block_start"]
        self.assertEqual([block["type"] for block in starts], ["text", "tool_use"])
        self.assertEqual((starts[1]["name"], starts[1]["input"]), ("look", {}))
        pieces = [data["delta"]["partial_json"] for name, data in events
                  if name == "content_block_delta" and data["delta"]["type"] == "input_json_delta"]
        self.assertEqual(json.loads("".join(pieces)), {"at": "sky"})
        self.assertEqual(events[-2][1]["delta"]["stop_reason"], "tool_use")

    def test_calls_in_a_stream_of_chat_have_no_words(self):
        tools = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
        for choice, said in (("auto", "Let me see."), ("required", None)):
            events = self.server.stream(tools=tools, tool_choice=choice)[:-1]
            deltas = [event["choices"][0]["delta"] for event in events]
            self.assertEqual(deltas[0], {"role": "assistant"})
            words = [delta["content"] for delta in deltas if "content" in delta]
            self.assertEqual("".join(words) if words else None, said)
            self.assertEqual(events[-1]["choices"][0]["finish_reason"], "tool_calls")

    def test_what_must_be_called_is_called_first(self):
        for fields in ({"tool_choice": "required"}, {"tool_choice": {"type": "function", "name": "look"}}):
            body = self.respond(tools=self.tools, parallel_tool_calls=False, **fields).json()
            self.assertEqual([(item["type"], item["name"]) for item in body["output"]], [("function_call", "look")])
            self.assertIn(json.loads(body["output"][0]["arguments"])["at"], ("sky", "sea"))

    def test_only_allowed_tools_are_called(self):
        tools = [{"type": "function", "function": {"name": name, "parameters": LOOK}} for name in ("look", "listen")]
        listen = [{"type": "function", "function": {"name": "listen"}}]
        for mode in ("auto", "required"):
            choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": listen}}
            (call,) = self.server.chat(tools=tools, tool_choice=choice).json()["choices"][0]["message"]["tool_calls"]
            self.assertEqual(call["function"]["name"], "listen")
        none = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
        message = self.server.chat(tools=tools, tool_choice=none).json()["choices"][0]["message"]
        self.assertEqual((message["content"], "tool_calls" in message), ("".join(CALLING[1:-1]), False))

    def test_tools_that_are_not_to_be_called(self):
        body = self.message(tools=self.anthropic_tools, tool_choice={"type": "none"}).json()
        self.assertEqual([block["type"] for block in body["content"]], ["text"])
        self.assertIn("<tool_call>", body["content"][0]["text"])

    def test_calls_without_tools_are_words(self):
        words = "".join(CALLING[1:-1])
        for fields in ({}, {"tools": []}):
            (item,) = self.respond(**fields).json()["output"]
            self.assertEqual((item["type"], item["content"][0]["text"]), ("message", words))
            body = self.message(**fields).json()
            self.assertEqual((body["stop_reason"], body["content"]), ("end_turn", [{"type": "text", "text": words}]))

    def test_a_schema_that_cannot_be_enforced(self):
        odd = {"type": "object", "properties": {"at": {"not": {"pattern": "x"}}}}
        loose = [{"type": "function", "name": "look", "parameters": odd}]
        self.assertEqual(self.respond(tools=loose).status, 200)
        answer = self.respond(tools=[{**loose[0], "strict": True}])
        self.assertEqual((answer.status, answer.error()["param"]), (400, "tools"))
        self.assertIn("tool \"look\": schema, /properties/at/not", answer.error()["message"])

    def test_schemas_that_name_themselves(self):
        """Each tool's parameters are a schema of their own: with an address, and with anchors that another one has too."""
        place = {**LOOK, "$id": "https://example.org/look", "properties": {"at": {"$ref": "https://example.org/look#place"}},
                 "$defs": {"place": {"$anchor": "place", **LOOK["properties"]["at"]}}}
        tools = [{"type": "function", "name": name, "parameters": place, "strict": True} for name in ("look", "listen")]
        answer = self.respond(tools=tools)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(json.loads(answer.json()["output"][1]["arguments"]), {"at": "sky"})

    def test_tools_and_a_format(self):
        """Words are not JSON: the model may only call, or write JSON, whatever it would rather say."""
        schema = {"type": "object", "properties": {"said": {"enum": ["yes", "no"]}}, "required": ["said"],
                  "additionalProperties": False}
        form = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
        item = self.respond(tools=self.tools, text=form).json()["output"][0]
        if item["type"] == "message":
            self.assertIn(json.loads(item["content"][0]["text"])["said"], ("yes", "no"))
        else:
            self.assertIn(json.loads(item["arguments"])["at"], ("sky", "sea"))
        called = self.respond(tools=self.tools, text=form, tool_choice="required", parallel_tool_calls=False).json()["output"]
        self.assertEqual([item["type"] for item in called], ["function_call"])
        odd = {"format": {"type": "json_schema", "name": "x", "schema": {"uniqueItems": True}}}
        answer = self.respond(tools=self.tools, text=odd)
        self.assertEqual(answer.status, 400)
        self.assertIn("text.format: schema, /uniqueItems", answer.error()["message"])


class Marks(unittest.TestCase):
    """Models that would call with arguments that the schema does not allow, and write their calls in other ways."""

    look = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]

    def say(self, chain, sign, controls=(), **fields):
        template = chain_model.CHATML + "{# " + sign + " #}"
        with tempfile.TemporaryDirectory(prefix="tern-marks-") as folder:
            chain_model.write_model(os.path.join(folder, "marked.gguf"), chain=["\n", *chain, "<|im_end|>"],
                                    template=template, context=2048, controls=controls)
            with Server(TERN, folder, "marked.gguf") as server:
                return server.chat(max_tokens=200, tools=self.look, **fields).json()["choices"][0]

    def assert_calls(self, choice, words=None):
        self.assertEqual((choice["finish_reason"], choice["message"]["content"]), ("tool_calls", words))
        for call in choice["message"]["tool_calls"]:
            self.assertEqual(call["function"]["name"], "look")
            self.assertIn(json.loads(call["function"]["arguments"])["at"], ("sky", "sea"))

    def test_calls_without_a_mark(self):
        sign = '{"name": function name, "parameters": dictionary}'
        bare = ['{"name": "', "look", '", "parameters": ', '{"at": ', '"moon"', "}}"]
        self.assert_calls(self.say(bare, sign))
        self.assert_calls(self.say(["<|python_tag|>", *bare], sign, controls=["<|python_tag|>"]))
        said = self.say(["Like", " this: ", *bare], sign)  # amid words it is none
        self.assertEqual(said["finish_reason"], "stop")
        self.assertIn('"moon"', said["message"]["content"])

    def test_a_mark_that_is_a_control_token(self):
        sign, mark = "[TOOL_CALLS]", ["[TOOL_CALLS]"]
        chain = ["Let", " me", " see", ".", *mark, '[{"name": "', "look", '", "arguments": ', '{"at": ', '"moon"', "}}]"]
        self.assert_calls(self.say(chain, sign, controls=mark), "Let me see.")
        self.assert_calls(self.say(chain, sign, controls=mark, tool_choice="required", parallel_tool_calls=False))


if __name__ == "__main__":
    unittest.main()
