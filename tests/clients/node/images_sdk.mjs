// OpenAI's own SDK for Node: pictures.

import { createReadStream, writeFileSync } from "node:fs";
import OpenAI, { toFile } from "openai";
import * as s from "./_scenario.mjs";

const { same, fails } = s;
const client = new OpenAI({ baseURL: s.BASE_URL, apiKey: s.API_KEY, maxRetries: 2 });
const PROMPT = "a red circle on a blue background";
const SIZE = "1536x1024";
const picture = Buffer.from(s.PNG.split(",")[1], "base64");

/** Width and height out of a PNG's own header. */
function sizeOf(b64) {
  const png = Buffer.from(b64, "base64");
  same("signature", png.subarray(1, 4).toString(), "PNG");
  return `${png.readUInt32BE(16)}x${png.readUInt32BE(20)}`;
}

async function generate() {
  const answer = await client.images.generate({ model: "gpt-image-2", prompt: PROMPT, n: 2, size: SIZE, quality: "low" });
  same("pictures", answer.data.map((entry) => sizeOf(entry.b64_json)), [SIZE, SIZE]);
  same("said", [answer.size, answer.output_format, answer.background], [SIZE, "png", "opaque"]);
  return answer.data.length;
}

async function edit() {
  writeFileSync("one.png", picture);
  // A stream has no length: the form is sent in chunks, and calls its file octets.
  const one = await client.images.edit({ image: createReadStream("one.png"), prompt: PROMPT });
  const file = () => toFile(picture, "two.png", { type: "image/png" });
  const two = await client.images.edit({ image: [await file(), await file()], prompt: PROMPT });
  same("pictures", [one, two].map((answer) => sizeOf(answer.data[0].b64_json)), ["1024x1024", "1024x1024"]);
  return 2;
}

async function stream() {
  const events = [];
  for await (const event of await client.images.generate({ prompt: PROMPT, n: 2, stream: true })) events.push(event);
  same("types", events.map((event) => event.type), ["image_generation.completed", "image_generation.completed"]);
  same("pictures", events.map((event) => sizeOf(event.b64_json)), ["1024x1024", "1024x1024"]);
  const edited = [];
  const image = await toFile(picture, "one.png");
  for await (const event of await client.images.edit({ image, prompt: PROMPT, stream: true })) edited.push(event);
  same("types", edited.map((event) => event.type), ["image_edit.completed"]);
  return events.length;
}

async function refused() {
  const blocked = await fails(() => client.images.generate({ prompt: "forbidden" }));
  same("error", [blocked.status, blocked.type, blocked.code], [400, "image_generation_user_error", "moderation_blocked"]);
  const none = await fails(() => client.images.generate({ prompt: "decline" }));
  same("error", [none.status, none.code], [502, "no_image_generated"]);
  const param = await fails(() => client.images.generate({ prompt: PROMPT, moderation: "low" }));
  same("error", [param.status, param.param, param.code], [400, "moderation", "unsupported_parameter"]);
  return String(param);
}

await s.main({ generate, edit, stream, refused });
