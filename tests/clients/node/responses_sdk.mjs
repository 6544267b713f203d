// The Responses API by OpenAI's own SDK for Node and by Vercel's AI SDK.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as s from "./_scenario.mjs";

const { same, fails, MODEL } = s;
const client = new OpenAI({ baseURL: s.BASE_URL, apiKey: s.API_KEY, maxRetries: 0 });
const Person = z.object({ name: z.string(), age: z.int() });
const ask = (options) => client.responses.create({ model: MODEL, input: s.HELLO, ...options });
const usageOf = (usage) => [
  usage.input_tokens,
  usage.input_tokens_details.cached_tokens,
  usage.output_tokens,
  usage.output_tokens_details.reasoning_tokens,
  usage.total_tokens,
];

function answered(response) {
  same("text", response.output_text, s.ANSWER);
  same("status", [response.status, response.error, response.incomplete_details], ["completed", null, null]);
  same("usage", usageOf(response.usage), [11, 3, 7, 2, 18]);
  return response;
}

async function create() {
  const response = await ask({});
  same("request id", /^req_/.test(response._request_id), true);
  return answered(response);
}

async function items() {
  const [{ content: instructions }, ...input] = s.HISTORY;
  return answered(await ask({ input, instructions, metadata: { a: "b" } }));
}

// What every stream of one text has; of the deltas there may be more or fewer.
const TEXT_EVENTS = [
  "response.created",
  "response.in_progress",
  "response.output_item.added",
  "response.content_part.added",
  "response.output_text.delta",
  "response.output_text.done",
  "response.content_part.done",
  "response.output_item.done",
  "response.completed",
];
const withoutRepeats = (names) => names.filter((name, at) => name !== names[at - 1]);

async function stream() {
  const events = [];
  for await (const event of await ask({ instructions: s.SYSTEM, stream: true })) events.push(event);
  same("events", withoutRepeats(events.map((event) => event.type)), TEXT_EVENTS);
  same("numbers", events.map((event) => event.sequence_number), [...events.keys()]);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  same("text", deltas.map((event) => event.delta).join(""), s.ANSWER);
  // `output_text` is the SDK's own addition to an answer that was not streamed.
  same("kept text", events.at(-1).response.output[0].content[0].text, s.ANSWER);
  return {};
}

async function stream_helper() {
  const names = [];
  const events = client.responses
    .stream({ model: MODEL, instructions: s.SYSTEM, input: s.HELLO })
    .on("event", (event) => names.push(event.type));
  const response = await events.finalResponse();
  same("events", withoutRepeats(names), TEXT_EVENTS);
  return answered(response);
}

async function parse() {
  const text = { format: zodTextFormat(Person, "person") };
  const response = await client.responses.parse({ model: MODEL, input: s.EXTRACT, text });
  same("parsed", response.output_parsed, { name: "Ada", age: 36 });
  return response;
}

const OFFERED = [
  {
    type: "function",
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
    strict: true,
  },
];

function outputsOf(response) {
  const calls = response.output.filter((item) => item.type === "function_call");
  same("calls", calls.map((call) => call.call_id), ["call_a", "call_b"]);
  return calls.map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: s.getWeather(JSON.parse(call.arguments)),
  }));
}

async function tools() {
  const first = await ask({ input: s.WEATHER, tools: OFFERED });
  const final = await ask({ input: outputsOf(first), tools: OFFERED, previous_response_id: first.id });
  same("text", final.output_text, s.WEATHER_ANSWER);
  return {};
}

async function tools_replayed() {
  const input = [{ role: "user", content: s.WEATHER }];
  const first = await ask({ input, tools: OFFERED, store: false });
  input.push(...first.output, ...outputsOf(first));
  const final = await ask({ input, tools: OFFERED, store: false });
  same("text", final.output_text, s.WEATHER_ANSWER);
  return {};
}

async function tools_stream() {
  const listen = (options) => client.responses.stream({ model: MODEL, tools: OFFERED, ...options }).finalResponse();
  const first = await listen({ input: s.WEATHER });
  const final = await listen({ input: outputsOf(first), previous_response_id: first.id });
  same("text", final.output_text, s.WEATHER_ANSWER);
  return {};
}

async function background() {
  let response = await ask({ background: true });
  same("status", response.status, "queued");
  const until = Date.now() + 20_000;
  while (["queued", "in_progress"].includes(response.status)) {
    if (Date.now() > until) throw new Error(`still ${response.status}`);
    await new Promise((done) => setTimeout(done, 50));
    response = await client.responses.retrieve(response.id);
  }
  return answered(response);
}

async function errors() {
  const other = client.withOptions({ apiKey: "pk-wrong" });
  const badKey = await fails(() => other.responses.create({ model: MODEL, input: s.HELLO }));
  same("class", [badKey.constructor, badKey.code], [OpenAI.AuthenticationError, "invalid_api_key"]);
  const unknown = await fails(() => ask({ model: "no-such-model" }));
  same("class", [unknown.constructor, unknown.code], [OpenAI.NotFoundError, "model_not_found"]);
  const previous = await fails(() => ask({ previous_response_id: "resp_none" }));
  same("class", [previous.constructor, previous.code], [OpenAI.BadRequestError, "previous_response_not_found"]);
  const busy = await fails(() => ask({}));
  same("class", [busy.constructor, busy.code], [OpenAI.RateLimitError, "rate_limit_exceeded"]);
  let last;
  for await (const event of await ask({ stream: true })) last = event;
  same("last", [last.type, last.response.error.code], ["response.failed", "server_error"]);
  return {};
}

const sent = [];
const provider = createOpenAI({
  baseURL: s.BASE_URL,
  apiKey: s.API_KEY,
  fetch: (url, options) => {
    sent.push(JSON.parse(options.body));
    return fetch(url, options);
  },
});
const NOT_KEPT = { providerOptions: { openai: { store: false } } };
const aiUsageOf = (usage) => [
  usage.inputTokens,
  usage.inputTokenDetails.cacheReadTokens,
  usage.outputTokens,
  usage.outputTokenDetails.reasoningTokens,
  usage.totalTokens,
];
const generate = (options) => generateText({ model: provider.responses(MODEL), maxRetries: 0, ...options });

async function listen(options) {
  let error;
  const onError = (event) => (error = event.error);
  const answer = streamText({ model: provider.responses(MODEL), maxRetries: 0, onError, ...options });
  await answer.consumeStream();
  if (error) throw error;
  return { text: await answer.text, usage: await answer.usage, steps: await answer.steps };
}

async function ai_generate() {
  const answer = await generate({ system: s.SYSTEM, prompt: s.HELLO });
  same("text", answer.text, s.ANSWER);
  same("finishReason", answer.finishReason, "stop");
  same("usage", aiUsageOf(answer.usage), [11, 3, 7, 2, 18]);
  return {};
}

async function ai_stream() {
  const answer = await listen({ system: s.SYSTEM, prompt: s.HELLO });
  same("text", answer.text, s.ANSWER);
  same("usage", aiUsageOf(answer.usage), [11, 3, 7, 2, 18]);
  return {};
}

async function ai_parse() {
  const answer = await generate({ prompt: s.EXTRACT, output: Output.object({ schema: Person, name: "person" }) });
  same("output", answer.output, { name: "Ada", age: 36 });
  return {};
}

const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: s.getWeather,
});
const withTools = { prompt: s.WEATHER, tools: { get_weather: weather }, stopWhen: stepCountIs(4) };

/** What a step sent, so that the caller sees in which form the answer came back. */
const kindsSent = () => sent.map(({ input }) => input.map((item) => item.type ?? item.role));

async function aiRoundTrip(ask, options) {
  let answer;
  try {
    answer = await ask({ ...withTools, ...options });
  } catch (error) {
    throw new Error(`sent: ${JSON.stringify(sent)}\nanswered: ${error.responseBody ?? error}`);
  }
  same("text", answer.text, s.WEATHER_ANSWER);
  same("steps", answer.steps.length, 2);
  return { sent: kindsSent() };
}

const ai_tools = () => aiRoundTrip(generate, {});
const ai_tools_stream = () => aiRoundTrip(listen, {});
const ai_tools_not_kept = () => aiRoundTrip(generate, NOT_KEPT);
const ai_tools_not_kept_stream = () => aiRoundTrip(listen, NOT_KEPT);

/** The second question comes with what was said before, as the SDK hands it out. */
async function aiConversation(options) {
  const messages = [{ role: "user", content: "One." }];
  const first = await generate({ messages, ...options });
  messages.push(...first.response.messages, { role: "user", content: s.HELLO });
  let second;
  try {
    second = await generate({ messages, ...options });
  } catch (error) {
    throw new Error(`sent: ${JSON.stringify(sent)}\nanswered: ${error.responseBody ?? error}`);
  }
  same("text", second.text, s.ANSWER);
  return { sent: kindsSent(), last: sent.at(-1).input };
}

const ai_conversation = () => aiConversation({});
const ai_conversation_not_kept = () => aiConversation(NOT_KEPT);

await s.main({
  create,
  items,
  stream,
  stream_helper,
  parse,
  tools,
  tools_replayed,
  tools_stream,
  background,
  errors,
  ai_generate,
  ai_stream,
  ai_parse,
  ai_tools,
  ai_tools_stream,
  ai_tools_not_kept,
  ai_tools_not_kept_stream,
  ai_conversation,
  ai_conversation_not_kept,
});
