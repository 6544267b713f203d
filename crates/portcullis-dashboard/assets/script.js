"use strict";

// A link from the command carries the code behind `#`, where it is sent to nobody.
const code = document.getElementById("code");
const takeCode = () => {
  if (location.hash.length < 2) return;
  code.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
};
if (code) {
  takeCode();
  addEventListener("hashchange", takeCode);
}

// The part of the overview that changes is fetched again, while somebody can see it and does nothing in it.
const live = document.getElementById("live");
if (live) {
  setInterval(async () => {
    if (document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]")) return;
    const answer = await fetch(live.dataset.src).catch(() => null);
    if (answer?.status === 401) location.reload();
    if (answer?.ok) live.innerHTML = await answer.text();
  }, 2000);
}

// The playground: a client of the gateway like any other.
const form = document.getElementById("try");
if (form) {
  const at = (id) => document.getElementById(id);
  const output = at("output"), facts = at("facts"), stop = at("stop");
  let running = null;

  const post = (path, body) => fetch(path, {
    method: "POST",
    headers: { "Authorization": `Bearer ${at("key").value.trim()}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: running.signal,
  });

  const fault = async (answer) => {
    const body = await answer.json().catch(() => null);
    throw new Error(`${answer.status}: ${body?.error?.message ?? "no reason given"}`);
  };

  const ask = async (began) => {
    const answer = await post("/v1/chat/completions", {
      model: at("model").value, stream: true, stream_options: { include_usage: true },
      messages: [{ role: "user", content: at("prompt").value }],
    });
    if (!answer.ok) await fault(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", first = null, usage = null;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
        const chunk = JSON.parse(line.slice(6));
        if (chunk.error) throw new Error(chunk.error.message);
        const text = chunk.choices?.[0]?.delta?.content;
        if (text) {
          first ??= performance.now() - began;
          output.append(text);
        }
        usage = chunk.usage ?? usage;
      }
    }
    const told = usage ? `, ${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out` : "";
    return `First text after ${Math.round(first ?? 0)} ms${told}`;
  };

  const draw = async () => {
    const answer = await post("/v1/images/generations", { prompt: at("prompt").value });
    if (!answer.ok) await fault(answer);
    const body = await answer.json();
    const bytes = Uint8Array.from(atob(body.data[0].b64_json), (letter) => letter.charCodeAt(0));
    const picture = new Image();
    picture.alt = at("prompt").value;
    picture.src = URL.createObjectURL(new Blob([bytes], { type: `image/${body.output_format}` }));
    output.append(picture);
    return `A picture of ${body.size}`;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running?.abort();
    running = new AbortController();
    const mine = running, began = performance.now();
    output.replaceChildren();
    facts.textContent = "Waiting …";
    stop.disabled = false;
    try {
      const said = await (event.submitter?.value === "picture" ? draw() : ask(began));
      facts.textContent = `${said}, done after ${Math.round(performance.now() - began)} ms.`;
    } catch (error) {
      if (mine === running) facts.textContent = error.name === "AbortError" ? "Stopped." : `Failed: ${error.message}`;
    } finally {
      if (mine === running) stop.disabled = true;
    }
  });
  stop.addEventListener("click", () => running?.abort());
}
