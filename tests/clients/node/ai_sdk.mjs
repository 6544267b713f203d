// Vercel's AI SDK, with its provider for APIs like OpenAI's.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import * as s from "./_scenario.mjs";

const { same, fails } = s;
const settings = { name: "portcullis", baseURL: s.BASE_URL, includeUsage: true, supportsStructuredOutputs: true };
const provider = (apiKey = s.API_KEY) => createOpenAICompatible({ ...settings, apiKey });
const ask = (options) => generateText({ model: provider()(s.MODEL), maxRetries: 0, ...options });
const stream_ = (options) =>
  streamText({ model: provider()(s.MODEL), maxRetries: 0, onError: () => {}, ...options });
const Person = z.object({ name: z.string(), age: z.int() });
const usageOf = (usage) => [
  usage.inputTokens,
  usage.inputTokenDetails.cacheReadTokens,
  usage.outputTokens,
  usage.outputTokenDetails.reasoningTokens,
  usage.totalTokens,
];
const tool_ = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: s.getWeather,
});
const withTools = { prompt: s.WEATHER, tools: { get_weather: tool_ }, stopWhen: stepCountIs(4) };

async function chat() {
  const answer = await ask({ system: s.SYSTEM, prompt: s.HELLO });
  same("text", answer.text, s.ANSWER);
  same("finishReason", answer.finishReason, "stop");
  same("usage", usageOf(answer.usage), [11, 3, 7, 2, 18]);
  return { response: answer.response };
}

async function stream() {
  const answer = stream_({ system: s.SYSTEM, prompt: s.HELLO });
  const deltas = [];
  for await (const delta of answer.textStream) deltas.push(delta);
  same("text", deltas.join(""), s.ANSWER);
  same("finishReason", await answer.finishReason, "stop");
  same("usage", usageOf(await answer.usage), [11, 3, 7, 2, 18]);
  return { deltas };
}

async function parse() {
  const answer = await ask({ prompt: s.EXTRACT, output: Output.object({ schema: Person, name: "person" }) });
  same("output", answer.output, { name: "Ada", age: 36 });
  return {};
}

async function tools() {
  const answer = await ask(withTools);
  same("text", answer.text, s.WEATHER_ANSWER);
  same("steps", answer.steps.length, 2);
  same("outputs", answer.steps[0].toolResults.map((result) => result.output), ["sun in Paris", "rain in Rome"]);
  return {};
}

async function tools_stream() {
  const answer = stream_(withTools);
  await answer.consumeStream();
  same("text", await answer.text, s.WEATHER_ANSWER);
  same("steps", (await answer.steps).length, 2);
  return {};
}

async function image() {
  const content = [
    { type: "text", text: s.LOOK },
    { type: "image", image: s.PNG },
  ];
  same("text", (await ask({ messages: [{ role: "user", content }] })).text, s.ANSWER);
  return {};
}

async function history() {
  const [{ content: system }, ...messages] = s.HISTORY;
  same("text", (await ask({ system, messages })).text, s.ANSWER);
  return {};
}

async function errors() {
  const statusOf = async (options) => {
    const error = await fails(() => ask({ prompt: s.HELLO, ...options }));
    same("class", APICallError.isInstance(error), true);
    return [error.statusCode, error.data.error.code];
  };
  same("bad key", await statusOf({ model: provider("pk-wrong")(s.MODEL) }), [401, "invalid_api_key"]);
  same("unknown", await statusOf({ model: provider()("no-such-model") }), [404, "model_not_found"]);
  same("busy", await statusOf({}), [429, "rate_limit_exceeded"]);
  let heard = "";
  const errors = [];
  for await (const part of stream_({ prompt: s.HELLO }).fullStream) {
    if (part.type === "text-delta") heard += part.text;
    if (part.type === "error") errors.push(part.error);
  }
  same("heard", [heard.length > 0, "Half an answer".startsWith(heard)], [true, true]);
  same("errors", errors.length, 1);
  return { cut: String(errors[0].message ?? JSON.stringify(errors[0])) };
}

async function stop() {
  const answer = await ask({ prompt: s.COUNT, stopSequences: ["STOP"] });
  same("text", answer.text, "one two ");
  same("finishReason", answer.finishReason, "stop");
  return {};
}

async function max_tokens() {
  const answer = await ask({ prompt: s.COUNT, maxOutputTokens: 3 });
  same("text", answer.text, "one two three");
  same("finishReason", answer.finishReason, "length");
  return {};
}

async function reasoning() {
  const answer = await ask({ prompt: s.HELLO, providerOptions: { portcullis: { reasoning: s.REASONING } } });
  same("text", answer.text, s.ANSWER);
  same("reasoning", answer.reasoningText, "Thinking hard.");
  return {};
}

await s.main({
  chat,
  stream,
  parse,
  tools,
  tools_stream,
  image,
  history,
  errors,
  stop,
  max_tokens,
  reasoning,
});
