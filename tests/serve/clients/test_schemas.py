"""Structured output cannot be wrong: answers to hundreds of schemas, each looked at by an independent validator."""
import asyncio
import json
import os
import pathlib
import unittest

import jsonschema
import openai

from schemas import make_schema

COUNT = 300
COMPANY = 16  # requests at once
# Selected from JSON-Schema-Test-Suite (make_suite.py), see suite.LICENSE.
SUITE = pathlib.Path(__file__).with_name("suite.json")


async def ask(client, company, number, schema):
    async with company:
        try:
            answer = await client.chat.completions.create(
                model="small", messages=[{"role": "user", "content": "Give an example as JSON."}], max_tokens=200,
                temperature=0.8, seed=number,
                response_format={"type": "json_schema", "json_schema": {"name": "example", "schema": schema}})
        except openai.BadRequestError as error:
            return "refused", error.message
    choice = answer.choices[0]
    return ("finished" if choice.finish_reason == "stop" else "cut off"), choice.message.content


async def ask_all(schemas):
    company = asyncio.Semaphore(COMPANY)
    async with openai.AsyncOpenAI(base_url=os.environ["TERN_TEST_URL"] + "/v1", api_key=os.environ["TERN_TEST_KEY"],
                                  max_retries=0, timeout=300) as client:
        return await asyncio.gather(*[ask(client, company, i, schema) for i, schema in enumerate(schemas)])


class Schemas(unittest.TestCase):
    def look_at(self, schemas):
        """How many answers were finished, cut off, refused; a finished one that is wrong fails the test."""
        counts = {"finished": 0, "cut off": 0, "refused": 0}
        refused = {}
        for number, (schema, (what, text)) in enumerate(zip(schemas, asyncio.run(ask_all(schemas)))):
            counts[what] += 1
            if what == "refused":
                refused.setdefault(text, []).append(number)
            if what != "finished":
                continue
            validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
            with self.subTest(number=number, schema=json.dumps(schema), answer=text):
                validator.validate(json.loads(text))
        print(counts, *[f"\n  {text}: {numbers[:5]}" for text, numbers in sorted(refused.items())], end=" ", flush=True)
        return counts

    def test_generated(self):
        schemas = [make_schema(number) for number in range(COUNT)]
        for schema in schemas:
            jsonschema.Draft202012Validator.check_schema(schema)
        counts = self.look_at(schemas)
        self.assertEqual(counts["refused"], 0)
        self.assertGreaterEqual(counts["finished"], COUNT * 9 // 10)

    def test_suite(self):
        schemas = [entry["schema"] for entry in json.loads(SUITE.read_text(encoding="utf-8"))]
        counts = self.look_at(schemas)
        self.assertGreaterEqual(counts["finished"], len(schemas) // 2)


if __name__ == "__main__":
    unittest.main()
