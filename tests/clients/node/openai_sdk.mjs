// OpenAI's own SDK for Node.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as s from "./_scenario.mjs";

const { same, fails, MODEL } = s;
const client = new OpenAI({ baseURL: s.BASE_URL, apiKey: s.API_KEY, maxRetries: 0 });
const SAY_HELLO = [
  { role: "system", content: s.SYSTEM },
  { role: "user", content: s.HELLO },
];
const Person = z.object({ name: z.string(), age: z.int() });
const user = (content) => [{ role: "user", content }];
const usageOf = (usage) => [
  usage.prompt_tokens,
  usage.prompt_tokens_details.cached_tokens,
  usage.completion_tokens,
  usage.completion_tokens_details.reasoning_tokens,
  usage.total_tokens,
];

async function chat() {
  const answer = await client.chat.completions.create({ model: MODEL, messages: SAY_HELLO });
  same("content", answer.choices[0].message.content, s.ANSWER);
  same("finish_reason", answer.choices[0].finish_reason, "stop");
  same("usage", usageOf(answer.usage), [11, 3, 7, 2, 18]);
  same("request id", /^req_/.test(answer._request_id), true);
  return answer;
}

async function stream() {
  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ model: MODEL, messages: SAY_HELLO, ...options })) {
    chunks.push(chunk);
  }
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  same("text", text, s.ANSWER);
  const last = chunks.at(-1);
  same("choices of the last chunk", last.choices, []);
  same("usage", usageOf(last.usage), [11, 3, 7, 2, 18]);
  return { chunks: chunks.length };
}

async function stream_helper() {
  const deltas = [];
  const events = client.chat.completions
    .stream({ model: MODEL, messages: SAY_HELLO, stream_options: { include_usage: true } })
    .on("content", (delta) => deltas.push(delta));
  const answer = await events.finalChatCompletion();
  same("deltas", deltas.join(""), s.ANSWER);
  same("content", answer.choices[0].message.content, s.ANSWER);
  same("finish_reason", answer.choices[0].finish_reason, "stop");
  same("usage", (await events.totalUsage()).total_tokens, 18);
  return answer;
}

async function parse() {
  const response_format = zodResponseFormat(Person, "person");
  const answer = await client.chat.completions.parse({ model: MODEL, messages: user(s.EXTRACT), response_format });
  same("parsed", answer.choices[0].message.parsed, { name: "Ada", age: 36 });
  return answer;
}

const WEATHER_TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    function: s.getWeather,
    parse: JSON.parse,
  },
};

async function tools() {
  const runner = client.chat.completions.runTools({ model: MODEL, messages: user(s.WEATHER), tools: [WEATHER_TOOL] });
  const outputs = [];
  runner.on("functionToolCallResult", (output) => outputs.push(output));
  same("content", await runner.finalContent(), s.WEATHER_ANSWER);
  same("outputs", outputs, ["sun in Paris", "rain in Rome"]);
  return { messages: runner.messages };
}

async function tools_stream() {
  const options = { stream: true, tools: [WEATHER_TOOL] };
  const runner = client.chat.completions.runTools({ model: MODEL, messages: user(s.WEATHER), ...options });
  same("content", await runner.finalContent(), s.WEATHER_ANSWER);
  return { messages: runner.messages };
}

async function image() {
  const content = [
    { type: "text", text: s.LOOK },
    { type: "image_url", image_url: { url: s.PNG, detail: "auto" } },
  ];
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(content) });
  same("content", answer.choices[0].message.content, s.ANSWER);
  return {};
}

async function history() {
  const answer = await client.chat.completions.create({ model: MODEL, messages: s.HISTORY });
  same("content", answer.choices[0].message.content, s.ANSWER);
  return {};
}

async function errors() {
  const ask = (options, to = client) =>
    to.chat.completions.create({ model: MODEL, messages: user(s.HELLO), ...options });
  const badKey = await fails(() => ask({}, client.withOptions({ apiKey: "pk-wrong" })));
  same("class", [badKey.constructor, badKey.code], [OpenAI.AuthenticationError, "invalid_api_key"]);
  const unknown = await fails(() => ask({ model: "no-such-model" }));
  same("class", [unknown.constructor, unknown.code, unknown.param], [OpenAI.NotFoundError, "model_not_found", "model"]);
  const busy = await fails(() => ask({}));
  same("class", [busy.constructor, busy.code], [OpenAI.RateLimitError, "rate_limit_exceeded"]);
  let heard = "";
  const cut = await fails(async () => {
    for await (const chunk of await ask({ stream: true })) heard += chunk.choices[0].delta.content ?? "";
    return heard;
  });
  same("class", cut.constructor, OpenAI.APIError);
  same("heard", [heard.length > 0, "Half an answer".startsWith(heard)], [true, true]);
  return { badKey: badKey.error, unknown: unknown.error, busy: busy.error, cut: cut.error };
}

async function models() {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  same("the default model is listed", names.includes(MODEL), true);
  same("one model", (await client.models.retrieve(MODEL)).id, MODEL);
  return { models: names };
}

async function several() {
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(s.COUNT), n: 2 });
  same("texts", answer.choices.map((choice) => choice.message.content).sort(), ["one", "two"]);
  same("indexes", answer.choices.map((choice) => choice.index), [0, 1]);
  same("usage", usageOf(answer.usage), [22, 6, 14, 4, 36]);
  return {};
}

async function stop() {
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(s.COUNT), stop: ["STOP"] });
  same("content", answer.choices[0].message.content, "one two ");
  same("finish_reason", answer.choices[0].finish_reason, "stop");
  return {};
}

async function max_tokens() {
  const options = { max_completion_tokens: 3 };
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(s.COUNT), ...options });
  same("content", answer.choices[0].message.content, "one two three");
  same("finish_reason", answer.choices[0].finish_reason, "length");
  return {};
}

async function reasoning() {
  const options = { reasoning: s.REASONING };
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(s.HELLO), ...options });
  same("content", answer.choices[0].message.content, s.ANSWER);
  same("reasoning_content", answer.choices[0].message.reasoning_content, "Thinking hard.");
  return {};
}

await s.main({
  chat,
  stream,
  stream_helper,
  parse,
  tools,
  tools_stream,
  image,
  history,
  errors,
  models,
  several,
  stop,
  max_tokens,
  reasoning,
});
