// What the client scripts share: where the gateway is, the scenario's texts, and how a script says what it saw.
//
// A script is run as `node openai_sdk.mjs SCENARIO` with BASE_URL and API_KEY in its environment. It checks the answer
// itself, prints one line of JSON, and leaves with 0; anything else it did not expect is a stack trace and 1. What the
// model behind the gateway answers is scripted in crates/portcullis-http/tests/gateway/clients.rs.

import assert from "node:assert/strict";

export const { BASE_URL, API_KEY } = process.env;
export const MODEL = "gpt-5.5";

export const SYSTEM = "Be brief.";
export const HELLO = "Say hello.";
export const ANSWER = "Hello wörld";
export const EXTRACT = "Extract: Ada is 36.";
export const WEATHER = "Weather in Paris and Rome?";
export const WEATHER_ANSWER = "Sun and rain.";
export const COUNT = "Count.";
export const PNG =
  "data:image/png;base64," +
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const LOOK = "What is this?";
export const HISTORY = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "One." },
  { role: "assistant", content: "Uno." },
  { role: "user", content: "  Two? \u{1F600} " },
];
export const REASONING = { effort: "high", summary: "auto" };

export const getWeather = ({ city }) => (city === "Paris" ? `sun in ${city}` : `rain in ${city}`);

/** Fails the script if the client saw something else than what was answered. */
export const same = (what, got, want) => assert.deepEqual(got, want, `${what}: got ${JSON.stringify(got)}`);

/** What the call throws. */
export async function fails(call) {
  let got;
  try {
    got = await call();
  } catch (error) {
    return error;
  }
  throw new Error(`nothing was thrown, but this was returned: ${JSON.stringify(got)}`);
}

/** Runs the scenario that the command line names. */
export async function main(scenarios) {
  const scenario = scenarios[process.argv[2]];
  if (!scenario || process.argv.length !== 3) throw new Error(`scenarios: ${Object.keys(scenarios).join(" ")}`);
  console.log(JSON.stringify(await scenario()));
}
