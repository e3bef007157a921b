"""The command `llm` with the server as one of its models: answers, a conversation gone on with, schemas, tools."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

MODEL = """\
- model_id: tern
  model_name: small
  api_base: "{url}/v1"
  api_key_name: tern
  supports_schema: true
  supports_tools: true
"""


class Llm(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "keys.json").write_text(json.dumps({"tern": os.environ["TERN_TEST_KEY"]}))
        (self.folder / "extra-openai-models.yaml").write_text(MODEL.format(url=os.environ["TERN_TEST_URL"]))

    def llm(self, *arguments):
        environment = {**os.environ, "LLM_USER_PATH": str(self.folder)}
        done = subprocess.run([sys.executable, "-m", "llm", *arguments], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_answer_stream_and_conversation(self):
        options = ["-m", "tern", "-o", "temperature", "0", "-o", "max_tokens", "16"]
        whole = self.llm(*options, "--no-stream", "Say hello.")
        self.assertTrue(whole.strip())
        self.assertEqual(self.llm(*options, "Say hello.").strip(), whole.strip())
        self.assertTrue(self.llm("-c", "And again.").strip())

    def test_schema(self):
        schema = {"type": "object", "properties": {"name": {"enum": ["Ada", "Grace"]}, "tea": {"type": "boolean"}},
                  "required": ["name", "tea"], "additionalProperties": False}
        out = self.llm("-m", "tern", "--schema", json.dumps(schema), "-o", "max_tokens", "60", "Describe a person.")
        self.assertEqual(set(json.loads(out)), {"name", "tea"})

    def test_tools_do_no_harm(self):
        code = "def weather(city: str) -> str:\n    'Tells the weather of a city.'\n    return 'Sunny.'\n"
        self.llm("-m", "tern", "--functions", code, "-o", "max_tokens", "60", "--chain-limit", "2", "--no-stream", "Say hello.")


if __name__ == "__main__":
    unittest.main()
