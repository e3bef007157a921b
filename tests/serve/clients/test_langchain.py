"""LangChain's package for OpenAI: answers, streams, batches, tools, structured output, embeddings."""
import os
import unittest
from typing import Literal

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


class Person(BaseModel):
    """A person."""

    first_name: Literal["Ada", "Grace"] = Field(description="how they are called")
    age: Literal[36, 85]


@tool
def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


def make_model(**options):
    return ChatOpenAI(**{"model": "small", "base_url": os.environ["TERN_TEST_URL"] + "/v1",
                         "api_key": os.environ["TERN_TEST_KEY"], "temperature": 0, "max_tokens": 100,
                         "max_retries": 0, "timeout": 60, **options})


class LangChain(unittest.TestCase):
    def test_answer_and_stream(self):
        model = make_model(max_tokens=16)
        messages = [SystemMessage("Be kind."), HumanMessage("Say hello.")]
        answer = model.invoke(messages)
        self.assertTrue(answer.content)
        self.assertGreater(answer.usage_metadata["input_tokens"], 0)
        self.assertEqual("".join(chunk.content for chunk in model.stream(messages)), answer.content)

    def test_batch(self):
        answers = make_model(max_tokens=8).batch(["Say one.", "Say two.", "Say three."])
        self.assertEqual(len(answers), 3)

    def test_tools(self):
        model = make_model().bind_tools([get_weather], tool_choice="any")
        question = HumanMessage("What is the weather in Paris?")
        answer = model.invoke([question])
        call = answer.tool_calls[0]
        self.assertEqual(call["name"], "get_weather")
        result = get_weather.invoke(call)
        self.assertIsInstance(result, ToolMessage)
        results = [get_weather.invoke(call) for call in answer.tool_calls]
        self.assertTrue(make_model(max_tokens=16).invoke([question, answer, *results]).content)

    def test_structured_output(self):
        for method in ("json_schema", "function_calling"):
            model = make_model().with_structured_output(Person, method=method)
            self.assertIsInstance(model.invoke("Describe a person."), Person, method)

    def test_responses_api(self):
        model = make_model(use_responses_api=True, max_tokens=32)
        self.assertTrue(model.invoke("Say hello.").text)
        self.assertTrue("".join(chunk.text for chunk in model.stream("Say hello.")))
        call = make_model(use_responses_api=True).bind_tools([get_weather], tool_choice="any").invoke("Weather in Rome?")
        self.assertEqual(call.tool_calls[0]["name"], "get_weather")

    def test_embeddings(self):
        model = OpenAIEmbeddings(model="small", base_url=os.environ["TERN_TEST_URL"] + "/v1",
                                 api_key=os.environ["TERN_TEST_KEY"], check_embedding_ctx_length=False)
        one, two = model.embed_documents(["a cat", "a dog"])
        self.assertEqual(len(one), len(two))
        self.assertNotEqual(one, two)


if __name__ == "__main__":
    unittest.main()
