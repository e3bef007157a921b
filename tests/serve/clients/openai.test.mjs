// OpenAI's own JavaScript client: chat and responses; streams, tools, structured output, errors.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({
  baseURL: process.env.TERN_TEST_URL + "/v1",
  apiKey: process.env.TERN_TEST_KEY,
  maxRetries: 0,
  timeout: 60_000,
});
const model = "small";
const hello = { model, messages: [{ role: "user", content: "Say hello." }], max_completion_tokens: 16, temperature: 0 };
const question = [{ role: "user", content: "What is the weather in Paris?" }];
const Person = z.object({ first_name: z.enum(["Ada", "Grace"]), likes_tea: z.boolean() });
const City = z.object({ city: z.enum(["Paris", "Rome"]) });

test("an answer, and the same as a stream", async () => {
  const whole = await client.chat.completions.create(hello);
  assert.ok(whole.choices[0].message.content);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...hello, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? "";
  }
  assert.equal(text, whole.choices[0].message.content);
});

test("the models", async () => {
  const models = await client.models.list();
  assert.equal(models.data.length, 1);
});

test("structured output by zod", async () => {
  const answer = await client.chat.completions.parse({
    ...hello,
    max_completion_tokens: 100,
    response_format: zodResponseFormat(Person, "person"),
  });
  assert.ok(Person.safeParse(answer.choices[0].message.parsed).success);
});

test("a tool is run and its result is read", async () => {
  const asked = [];
  const runner = client.chat.completions.runTools(
    {
      model,
      messages: question,
      max_completion_tokens: 100,
      temperature: 0,
      tools: [zodFunction({ name: "get_weather", parameters: City, function: (args) => (asked.push(args), "Sunny.") })],
      tool_choice: { type: "function", function: { name: "get_weather" } },
    },
    { maxChatCompletions: 2 },
  );
  await runner.done();
  assert.ok(asked.length > 0);
  assert.ok(City.safeParse(asked[0]).success);
});

test("a tool's call in a stream", async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: question,
    max_completion_tokens: 100,
    temperature: 0,
    parallel_tool_calls: false,
    tools: [zodFunction({ name: "get_weather", parameters: City })],
    tool_choice: "required",
  });
  const final = await stream.finalChatCompletion();
  const calls = final.choices[0].message.tool_calls;
  assert.equal(calls.length, 1);
  assert.ok(City.safeParse(calls[0].function.parsed_arguments).success);
});

test("responses: an answer, and the same as a stream", async () => {
  const ask = { model, input: "Say hello.", max_output_tokens: 200, temperature: 0 };
  const whole = await client.responses.create(ask);
  const stream = client.responses.stream(ask);
  let text = "";
  stream.on("response.output_text.delta", (event) => (text += event.delta));
  const final = await stream.finalResponse();
  assert.equal(text, whole.output_text);
  assert.equal(final.output_text, whole.output_text);
});

test("responses: structured output by zod", async () => {
  const answer = await client.responses.parse({
    model,
    input: "Describe a person as JSON.",
    max_output_tokens: 100,
    text: { format: zodTextFormat(Person, "person") },
  });
  assert.ok(Person.safeParse(answer.output_parsed).success);
});

test("responses: a tool", async () => {
  const tools = [
    {
      type: "function",
      name: "get_weather",
      strict: true,
      parameters: {
        type: "object",
        properties: { city: { enum: ["Paris", "Rome"] } },
        required: ["city"],
        additionalProperties: false,
      },
    },
  ];
  const first = await client.responses.create({ model, input: question, tools, tool_choice: "required", max_output_tokens: 100 });
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.ok(calls.length > 0);
  assert.ok(City.safeParse(JSON.parse(calls[0].arguments)).success);
  const results = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "Sunny." }));
  const again = await client.responses.create({ model, input: [...question, ...first.output, ...results], max_output_tokens: 16 });
  assert.ok(again.output_text);
});

test("errors name the field", async () => {
  await assert.rejects(client.chat.completions.create({ ...hello, temperature: "hot" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    return true;
  });
  const stranger = new OpenAI({ baseURL: process.env.TERN_TEST_URL + "/v1", apiKey: "another", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test("an answer that is broken off", async () => {
  const stream = await client.chat.completions.create({ ...hello, max_completion_tokens: 2000, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  stream.controller.abort();
  assert.ok((await client.chat.completions.create(hello)).choices[0]);
});
