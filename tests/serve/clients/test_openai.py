"""OpenAI's own Python client: chat, completions, embeddings, responses; streams, tools, structured output, errors."""
import asyncio
import json
import os
import unittest
from typing import Literal

import openai
from pydantic import BaseModel

MODEL = "small"
HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "maxLength": 30},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["city", "unit"],
                "additionalProperties": False,
            },
        },
    }
]
QUESTION = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]


class Person(BaseModel):
    kind: Literal["person"]
    first_name: Literal["Ada", "Grace"]
    age: int
    likes_tea: bool


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    days: Literal[1, 2, 3]


def make_client(**options):
    return openai.OpenAI(**{"base_url": os.environ["TERN_TEST_URL"] + "/v1", "api_key": os.environ["TERN_TEST_KEY"],
                            "max_retries": 0, "timeout": 60, **options})


class Chat(unittest.TestCase):
    def setUp(self):
        self.client = make_client()
        self.addCleanup(self.client.close)

    def ask(self, **fields):
        return self.client.chat.completions.create(
            **{"model": MODEL, "messages": HELLO, "max_completion_tokens": 16, "temperature": 0, **fields})

    def test_models(self):
        models = list(self.client.models.list())
        self.assertEqual(len(models), 1)
        self.assertEqual(self.client.models.retrieve(models[0].id).object, "model")

    def test_answer(self):
        answer = self.ask()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertTrue(answer.choices[0].message.content)
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertLessEqual(answer.usage.completion_tokens, 16)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_stream_says_the_same(self):
        whole = self.ask()
        text, usage, reason = "", None, None
        for chunk in self.ask(stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(reason, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_one_seed_one_answer(self):
        first, second = (self.ask(temperature=1.5, seed=7).choices[0].message.content for _ in range(2))
        self.assertEqual(first, second)
        self.assertNotEqual(first, self.ask(temperature=1.5, seed=8).choices[0].message.content)

    def test_several_answers(self):
        answer = self.ask(n=3, temperature=1.5, seed=1)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        self.assertGreater(len({choice.message.content for choice in answer.choices}), 1)

    def test_stop(self):
        whole = self.ask().choices[0].message.content
        stop = whole[3:6]
        answer = self.ask(stop=[stop]).choices[0]
        self.assertEqual(answer.message.content, whole[:whole.index(stop)])
        self.assertEqual(answer.finish_reason, "stop")

    def test_logprobs(self):
        choice = self.ask(logprobs=True, top_logprobs=3).choices[0]
        entries = choice.logprobs.content
        self.assertEqual(b"".join(bytes(entry.bytes) for entry in entries).decode(), choice.message.content)
        for entry in entries:
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.token, entry.top_logprobs[0].token)
            self.assertLessEqual(entry.logprob, 0)

    def test_logit_bias(self):
        first = self.ask(logprobs=True, max_completion_tokens=1).choices[0].logprobs.content[0].token
        ids = self.client.post("/../tokenize", body={"content": first}, cast_to=object)["tokens"]
        other = self.ask(logprobs=True, max_completion_tokens=1, logit_bias={ids[0]: -100})
        self.assertNotEqual(first, other.choices[0].logprobs.content[0].token)

    def test_tool_is_called_and_its_result_is_read(self):
        answer = self.ask(messages=QUESTION, tools=TOOLS, tool_choice="required", max_completion_tokens=120)
        message = answer.choices[0].message
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        call = message.tool_calls[0]
        self.assertEqual((call.type, call.function.name), ("function", "get_weather"))
        arguments = json.loads(call.function.arguments)
        self.assertEqual(set(arguments), {"city", "unit"})
        self.assertIn(arguments["unit"], ("celsius", "fahrenheit"))
        results = [{"role": "tool", "tool_call_id": each.id, "content": "Sunny, 21 degrees."} for each in message.tool_calls]
        again = self.ask(messages=[*QUESTION, message, *results], tools=TOOLS, tool_choice="none")
        self.assertTrue(again.choices[0].message.content)
        self.assertFalse(again.choices[0].message.tool_calls)

    def test_calls_in_a_stream_have_no_words(self):
        with self.client.chat.completions.stream(model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="required",
                                                 max_completion_tokens=120, temperature=0) as stream:
            kinds = {event.type for event in stream}
            message = stream.get_final_completion().choices[0].message
        self.assertEqual(kinds, {"chunk", "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"})
        self.assertIsNone(message.content)
        self.assertGreaterEqual(len(message.tool_calls), 1)

    def test_named_tool_in_a_stream(self):
        other = {"type": "function", "function": {"name": "tell_time", "parameters": {"type": "object", "properties": {
            "zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"], "additionalProperties": False}}}
        with self.client.chat.completions.stream(
                model=MODEL, messages=QUESTION, tools=[*TOOLS, other], max_completion_tokens=120, temperature=0,
                tool_choice={"type": "function", "function": {"name": "tell_time"}}, parallel_tool_calls=False) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
        self.assertIn("tool_calls.function.arguments.delta", kinds)
        self.assertIn("tool_calls.function.arguments.done", kinds)
        calls = final.choices[0].message.tool_calls
        self.assertEqual([call.function.name for call in calls], ["tell_time"])
        self.assertIn(json.loads(calls[0].function.arguments), ({"zone": "UTC"}, {"zone": "CET"}))

    def test_tools_of_pydantic_models(self):
        answer = self.client.chat.completions.parse(
            model=MODEL, messages=QUESTION, tools=[openai.pydantic_function_tool(Weather)], tool_choice="required",
            temperature=0, max_completion_tokens=120)
        self.assertIsInstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, Weather)

    def test_pydantic_model(self):
        answer = self.client.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "Describe a person as JSON."}], response_format=Person,
            temperature=0, max_completion_tokens=100)
        self.assertIsInstance(answer.choices[0].message.parsed, Person)

    def test_pydantic_model_in_a_stream(self):
        with self.client.chat.completions.stream(
                model=MODEL, messages=[{"role": "user", "content": "Describe a person as JSON."}], temperature=0,
                response_format=Person, max_completion_tokens=100) as stream:
            for _ in stream:
                pass
            self.assertIsInstance(stream.get_final_completion().choices[0].message.parsed, Person)

    def test_json_object(self):
        answer = self.ask(messages=[{"role": "user", "content": "A short JSON object, please."}], max_completion_tokens=200,
                          response_format={"type": "json_object"}).choices[0]
        if answer.finish_reason == "stop":
            self.assertIsInstance(json.loads(answer.message.content), dict)

    def test_errors_name_the_field(self):
        cases = [({"temperature": "hot"}, "temperature"), ({"messages": [{"role": "king", "content": ""}]}, "messages[0].role"),
                 ({"max_completion_tokens": 10**12}, "max_completion_tokens"), ({"messages": []}, "messages")]
        for fields, param in cases:
            with self.assertRaises(openai.BadRequestError) as caught:
                self.ask(**fields)
            self.assertEqual(caught.exception.param, param)

    def test_context_is_bounded(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(messages=[{"role": "user", "content": "word " * 9000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_wrong_key(self):
        with make_client(api_key="another") as client, self.assertRaises(openai.AuthenticationError):
            client.models.list()

    def test_stream_that_is_left(self):
        for _ in range(3):
            stream = self.ask(stream=True, max_completion_tokens=2000)
            next(iter(stream))
            stream.close()
        self.assertTrue(self.ask().choices)

    def test_many_at_once(self):
        async def ask_all():
            async with openai.AsyncOpenAI(base_url=os.environ["TERN_TEST_URL"] + "/v1",
                                          api_key=os.environ["TERN_TEST_KEY"], max_retries=0) as client:
                return await asyncio.gather(*[
                    client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=16, temperature=0)
                    for _ in range(12)])
        alone = self.ask().choices[0].message.content
        self.assertEqual({answer.choices[0].message.content for answer in asyncio.run(ask_all())}, {alone})


class Others(unittest.TestCase):
    def setUp(self):
        self.client = make_client()
        self.addCleanup(self.client.close)

    def test_completion(self):
        answer = self.client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, temperature=0)
        self.assertEqual(answer.usage.completion_tokens, 8)
        text = "".join(chunk.choices[0].text for chunk in self.client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=8, temperature=0, stream=True) if chunk.choices)
        self.assertEqual(text, answer.choices[0].text)

    def test_embeddings(self):
        answer = self.client.embeddings.create(model=MODEL, input=["a cat", "a cat", "the stock market"])
        one, two, three = (entry.embedding for entry in answer.data)
        self.assertEqual(one, two)
        self.assertNotEqual(one, three)
        self.assertAlmostEqual(sum(x * x for x in one), 1, places=4)


class Responses(unittest.TestCase):
    tools = [{"type": "function", **TOOLS[0]["function"]}]

    def setUp(self):
        self.client = make_client()
        self.addCleanup(self.client.close)

    def ask(self, **fields):
        return self.client.responses.create(
            **{"model": MODEL, "input": "Say hello.", "max_output_tokens": 16, "temperature": 0, **fields})

    def test_answer(self):
        answer = self.ask(instructions="Be kind.", metadata={"a": "b"})
        self.assertTrue(answer.output_text)
        self.assertEqual((answer.instructions, answer.metadata), ("Be kind.", {"a": "b"}))
        self.assertEqual(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)
        if answer.status == "incomplete":
            self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")

    def test_stream_says_the_same(self):
        whole = self.ask(max_output_tokens=200)
        self.assertEqual(whole.status, "completed")
        with self.client.responses.stream(model=MODEL, input="Say hello.", max_output_tokens=200, temperature=0) as stream:
            events = list(stream)
            final = stream.get_final_response()
        self.assertEqual(final.output_text, whole.output_text)
        kinds = [event.type for event in events]
        self.assertEqual(kinds[:4], ["response.created", "response.in_progress", "response.output_item.added",
                                     "response.content_part.added"])
        self.assertEqual(kinds[-4:], ["response.output_text.done", "response.content_part.done",
                                      "response.output_item.done", "response.completed"])
        self.assertEqual(set(kinds[4:-4]), {"response.output_text.delta"})
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))

    def test_stream_that_is_cut_off(self):
        kinds = [event.type for event in self.ask(stream=True, max_output_tokens=2)]
        self.assertEqual(kinds[-1], "response.incomplete")

    def test_conversation(self):
        first = self.ask()
        again = self.ask(input=[{"role": "user", "content": "Say hello."}, *first.output,
                                {"role": "user", "content": [{"type": "input_text", "text": "And again."}]}])
        self.assertTrue(again.output_text)
        self.assertGreater(again.usage.input_tokens, first.usage.input_tokens)

    def test_tool_is_called_and_its_result_is_read(self):
        first = self.ask(input=QUESTION, tools=self.tools, tool_choice="required", max_output_tokens=120)
        calls = [item for item in first.output if item.type == "function_call"]
        self.assertGreaterEqual(len(calls), 1)
        self.assertEqual(set(json.loads(calls[0].arguments)), {"city", "unit"})
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."} for call in calls]
        again = self.ask(input=[*QUESTION, *first.output, *results], tools=self.tools, tool_choice="none")
        self.assertTrue(again.output_text)

    def test_tool_in_a_stream(self):
        with self.client.responses.stream(model=MODEL, input=QUESTION, tools=self.tools, tool_choice="required",
                                          max_output_tokens=120, temperature=0, parallel_tool_calls=False) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        self.assertIn("response.function_call_arguments.delta", kinds)
        self.assertIn("response.function_call_arguments.done", kinds)
        call = final.output[-1]
        self.assertEqual((call.type, call.status, call.name), ("function_call", "completed", "get_weather"))
        self.assertEqual(set(json.loads(call.arguments)), {"city", "unit"})

    def test_pydantic_model(self):
        answer = self.client.responses.parse(model=MODEL, input="Describe a person as JSON.", text_format=Person,
                                             max_output_tokens=100, temperature=0)
        self.assertIsInstance(answer.output_parsed, Person)

    def test_logprobs(self):
        answer = self.ask(include=["message.output_text.logprobs"], top_logprobs=2)
        part = answer.output[-1].content[0]
        self.assertEqual(b"".join(bytes(entry.bytes) for entry in part.logprobs).decode(), part.text)

    def test_kept_state_is_refused(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(previous_response_id="resp_123")
        self.assertEqual(caught.exception.param, "previous_response_id")
        self.assertIn("send the whole conversation", caught.exception.message)


if __name__ == "__main__":
    unittest.main()
