// Anthropic's own JavaScript client: messages, streams, tools, structured output, counting, errors.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const client = new Anthropic({
  baseURL: process.env.TERN_TEST_URL,
  apiKey: process.env.TERN_TEST_KEY,
  maxRetries: 0,
  timeout: 60_000,
});
const model = "small";
const hello = { model, messages: [{ role: "user", content: "Say hello." }], max_tokens: 16, temperature: 0 };
const question = [{ role: "user", content: "What is the weather in Paris?" }];
const tools = [
  {
    name: "get_weather",
    description: "Tells the weather of a city.",
    input_schema: {
      type: "object",
      properties: { city: { type: "string", enum: ["Paris", "Rome"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
];

test("an answer, and the same as a stream", async () => {
  const whole = await client.messages.create(hello);
  assert.equal(whole.content[0].type, "text");
  const stream = client.messages.stream(hello);
  let text = "";
  stream.on("text", (piece) => (text += piece));
  const final = await stream.finalMessage();
  assert.equal(text, whole.content[0].text);
  assert.equal(final.content[0].text, text);
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
});

test("a tool is called and its result is read", async () => {
  const answer = await client.messages.create({ ...hello, messages: question, tools, tool_choice: { type: "any" }, max_tokens: 100 });
  assert.equal(answer.stop_reason, "tool_use");
  const calls = answer.content.filter((block) => block.type === "tool_use");
  assert.ok(["Paris", "Rome"].includes(calls[0].input.city));
  const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "Sunny." }));
  const again = await client.messages.create({
    ...hello,
    tools,
    messages: [...question, { role: "assistant", content: answer.content }, { role: "user", content: results }],
    tool_choice: { type: "none" },
  });
  assert.ok(again.content[0].text);
});

test("a tool's call in a stream", async () => {
  const stream = client.messages.stream({
    ...hello,
    messages: question,
    tools,
    max_tokens: 100,
    tool_choice: { type: "tool", name: "get_weather", disable_parallel_tool_use: true },
  });
  let pieces = "";
  stream.on("inputJson", (piece) => (pieces += piece));
  const final = await stream.finalMessage();
  assert.equal(final.content.length, 1);
  assert.deepEqual(final.content[0].input, JSON.parse(pieces));
});

test("structured output by zod", async () => {
  const Person = z.object({ first_name: z.enum(["Ada", "Grace"]), likes_tea: z.boolean() });
  const answer = await client.messages.parse({
    ...hello,
    max_tokens: 100,
    output_config: { format: zodOutputFormat(Person) },
  });
  assert.ok(Person.safeParse(answer.parsed_output).success);
});

test("counting", async () => {
  const counted = await client.messages.countTokens({ model, messages: hello.messages });
  const { usage } = await client.messages.create(hello);
  assert.equal(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
});

test("errors are in their own form", async () => {
  await assert.rejects(client.messages.create({ ...hello, max_tokens: "many" }), (error) => {
    assert.ok(error instanceof Anthropic.BadRequestError);
    assert.equal(error.error.error.type, "invalid_request_error");
    assert.match(error.requestID, /^req_/);
    assert.equal(error.error.request_id, error.requestID);
    return true;
  });
});
