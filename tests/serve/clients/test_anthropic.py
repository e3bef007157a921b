"""Anthropic's own Python client: messages, streams, tools, structured output, counting, errors."""
import asyncio
import os
import unittest
from typing import Literal

import anthropic
from pydantic import BaseModel

MODEL = "small"
GREEDY = {"temperature": 0}  # the client no longer knows the field, the API does
HELLO = [{"role": "user", "content": "Say hello."}]
QUESTION = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]
TOOLS = [{
    "name": "get_weather",
    "description": "Tells the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 30}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}]


class Person(BaseModel):
    first_name: Literal["Ada", "Grace"]
    likes_tea: bool


def make_client(**options):
    return anthropic.Anthropic(**{"base_url": os.environ["TERN_TEST_URL"], "api_key": os.environ["TERN_TEST_KEY"],
                                  "max_retries": 0, "timeout": 60, **options})


class Messages(unittest.TestCase):
    def setUp(self):
        self.client = make_client()
        self.addCleanup(self.client.close)

    def ask(self, **fields):
        return self.client.messages.create(**{"model": MODEL, "messages": HELLO, "max_tokens": 16,
                                              "extra_body": GREEDY, **fields})

    def test_answer(self):
        answer = self.ask(system="Be kind.")
        self.assertEqual((answer.type, answer.role), ("message", "assistant"))
        self.assertEqual(answer.content[0].type, "text")
        self.assertTrue(answer.content[0].text)
        self.assertIn(answer.stop_reason, ("end_turn", "max_tokens"))
        self.assertLessEqual(answer.usage.output_tokens, 16)

    def test_cut_off(self):
        answer = self.ask(max_tokens=2)
        self.assertEqual((answer.stop_reason, answer.usage.output_tokens), ("max_tokens", 2))

    def test_stream_says_the_same(self):
        whole = self.ask()
        with self.client.messages.stream(model=MODEL, messages=HELLO, max_tokens=16, extra_body=GREEDY) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.content[0].text, text)
        self.assertEqual(final.stop_reason, whole.stop_reason)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)

    def test_events_of_a_stream(self):
        kinds = [event.type for event in self.ask(stream=True)]
        self.assertEqual(kinds[:2], ["message_start", "content_block_start"])
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
        self.assertEqual(set(kinds[2:-3]), {"content_block_delta"})

    def test_stop_sequence(self):
        whole = self.ask().content[0].text
        stop = whole[3:6]
        answer = self.ask(stop_sequences=[stop])
        self.assertEqual((answer.stop_reason, answer.stop_sequence), ("stop_sequence", stop))
        self.assertEqual(answer.content[0].text, whole[:whole.index(stop)])

    def test_prefill(self):
        answer = self.ask(messages=[*HELLO, {"role": "assistant", "content": "Good morning to"}])
        self.assertFalse(answer.content[0].text.startswith("Good"), answer.content[0].text)
        plain, begun = (usage.input_tokens + usage.cache_read_input_tokens for usage in (self.ask().usage, answer.usage))
        self.assertEqual(begun - plain, 3)

    def test_count(self):
        counted = self.client.messages.count_tokens(model=MODEL, messages=HELLO, system="Be kind.")
        usage = self.ask(system="Be kind.").usage
        self.assertEqual(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens)

    def test_tool_is_called_and_its_result_is_read(self):
        answer = self.ask(messages=QUESTION, tools=TOOLS, tool_choice={"type": "any"}, max_tokens=120)
        self.assertEqual(answer.stop_reason, "tool_use")
        calls = [block for block in answer.content if block.type == "tool_use"]
        self.assertEqual(calls[0].name, "get_weather")
        self.assertEqual(set(calls[0].input), {"city", "unit"})
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Sunny."}]}
                   for call in calls]
        again = self.ask(messages=[*QUESTION, {"role": "assistant", "content": answer.content},
                                   {"role": "user", "content": [*results, {"type": "text", "text": "Well?"}]}],
                         tools=TOOLS, tool_choice={"type": "none"})
        self.assertEqual(again.content[0].type, "text")

    def test_tool_in_a_stream(self):
        with self.client.messages.stream(
                model=MODEL, messages=QUESTION, tools=TOOLS, max_tokens=120, extra_body=GREEDY,
                tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}) as stream:
            deltas = [event for event in stream if event.type == "input_json"]
            final = stream.get_final_message()
        self.assertGreater(len(deltas), 1)
        self.assertEqual([block.type for block in final.content], ["tool_use"])
        self.assertIn(final.content[0].input["unit"], ("celsius", "fahrenheit"))

    def test_tool_runner(self):
        asked = []

        @anthropic.beta_tool
        def get_weather(city: Literal["Paris", "Rome"]) -> str:
            """Tells the weather of a city."""
            asked.append(city)
            return "Sunny."

        prompts = []
        for stream in (False, True):
            runner = self.client.beta.messages.tool_runner(
                model=MODEL, messages=QUESTION, tools=[get_weather], max_tokens=200, stream=stream, extra_body=GREEDY,
                tool_choice={"type": "any", "disable_parallel_tool_use": True}, max_iterations=2)
            turns = [turn.get_final_message() if stream else turn for turn in runner]
            self.assertEqual([turn.stop_reason for turn in turns], ["tool_use"] * 2)
            prompts.append([turn.usage.input_tokens + turn.usage.cache_read_input_tokens for turn in turns])
            self.assertGreater(prompts[-1][1], prompts[-1][0], "the second turn does not have the first")
        self.assertEqual(prompts[0], prompts[1])
        self.assertGreaterEqual(len(asked), 2)

    def test_pydantic_model(self):
        answer = self.client.messages.parse(model=MODEL, max_tokens=100, extra_body=GREEDY, output_format=Person,
                                            messages=[{"role": "user", "content": "Describe a person as JSON."}])
        self.assertIsInstance(answer.parsed_output, Person)

    def test_errors(self):
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.ask(messages=[{"role": "king", "content": ""}])
        self.assertEqual(caught.exception.body["type"], "error")
        self.assertEqual(caught.exception.body["error"]["type"], "invalid_request_error")
        self.assertIn("messages[0].role", caught.exception.body["error"]["message"])
        self.assertRegex(caught.exception.request_id, "^req_")
        self.assertEqual(caught.exception.body["request_id"], caught.exception.request_id)
        with make_client(api_key="another") as client, self.assertRaises(anthropic.AuthenticationError) as caught:
            client.messages.create(model=MODEL, messages=HELLO, max_tokens=1)
        self.assertEqual(caught.exception.body["error"]["type"], "authentication_error")

    def test_request_id(self):
        self.assertRegex(self.ask()._request_id, "^req_")

    def test_many_at_once(self):
        async def ask_all():
            async with anthropic.AsyncAnthropic(base_url=os.environ["TERN_TEST_URL"], max_retries=0,
                                                api_key=os.environ["TERN_TEST_KEY"]) as client:
                return await asyncio.gather(*[
                    client.messages.create(model=MODEL, messages=HELLO, max_tokens=16, extra_body=GREEDY) for _ in range(8)])
        alone = self.ask().content[0].text
        self.assertEqual({answer.content[0].text for answer in asyncio.run(ask_all())}, {alone})


if __name__ == "__main__":
    unittest.main()
