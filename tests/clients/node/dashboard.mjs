// The dashboard: every page in light, dark and on a phone, without scripts and by keyboard. DASHBOARD_LINK is a one-time link,
// API_KEY a key.
import assert from "node:assert/strict";
import { DRESSES, launch, look, signIn } from "./_browser.mjs";

const { DASHBOARD_LINK, API_KEY } = process.env;
const base = new URL(DASHBOARD_LINK).origin;
const pages = [
  "", "/requests", "/usage", "/keys", "/approvals", "/pictures", "/codex", "/confinement", "/audit", "/audit?check", "/playground",
];

const browser = await launch();
const { complaints } = browser;
const light = await browser.open(base, DRESSES[0][1]);
const page = light.page;

// Without a session there is only the way in.
await page.goto(`${base}/dashboard/keys`);
assert.equal(page.url(), `${base}/dashboard/sign-in`);
await look(page, "sign-in");
await page.keyboard.type("not-the-code");
await page.keyboard.press("Enter");
await page.getByRole("alert").waitFor();
await look(page, "sign-in-failed");
// The browser says on the console that the answer was 403.
assert.match(complaints.splice(0).join(), /^console: Failed to load resource: .* 403 /);

await signIn(page, DASHBOARD_LINK);
await page.getByText("Turns can run.").waitFor();
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.textContent), "To the content");

// The playground streams an answer and draws a picture, as a client of the gateway.
await page.goto(`${base}/dashboard/playground`);
await page.getByLabel("API key").fill(API_KEY);
await page.getByLabel("Prompt").fill("Say hello to the dashboard.");
await page.getByRole("button", { name: "Ask" }).click();
await page.locator("#facts", { hasText: "done after" }).waitFor();
assert.match(await page.locator("#output").innerText(), /demo model/);
await page.getByLabel("Prompt").fill("A red circle on a blue background");
await page.getByRole("button", { name: "Draw" }).click();
await page.locator("#facts", { hasText: "A picture of 1024x1024" }).waitFor();
assert.equal(await page.locator("#output img").evaluate((picture) => picture.decode().then(() => picture.naturalWidth)), 1024);
await look(page, "playground-used");
await page.getByLabel("API key").fill("pcl_wrong");
await page.getByRole("button", { name: "Ask" }).click();
await page.locator("#facts", { hasText: "Failed: 401" }).waitFor();
assert.match(complaints.splice(0).join(), /401/);

// A turn that runs is seen on the overview, and interrupted there.
await page.getByLabel("API key").fill(API_KEY);
await page.getByLabel("Prompt").fill("A word. ".repeat(400));
await page.getByRole("button", { name: "Ask" }).click();
const other = await light.context.newPage();
await other.goto(`${base}/dashboard`);
await other.getByRole("button", { name: /^Interrupt the turn of req_/ }).click();
await page.locator("#facts", { hasText: "Failed" }).waitFor();
await other.goto(`${base}/dashboard/requests`);
assert.deepEqual(await other.locator("tbody .badge").allInnerTexts(), ["interrupted", "completed", "completed"]);
await other.close();

// A key is made, shown once, turned and taken back.
await page.goto(`${base}/dashboard/keys`);
await page.getByLabel("Name").fill("<b>from the page</b>");
await page.getByRole("button", { name: "Make the key" }).click();
await page.getByText("Nothing was done:").waitFor();
await page.getByLabel("Name").fill("from the page");
await page.getByLabel("Turns at once").fill("2");
await page.getByRole("button", { name: "Make the key" }).click();
const first = await page.locator("code.secret").innerText();
assert.match(first, /^pcl_/);
await page.getByRole("button", { name: "Rotate from the page" }).click();
const second = await page.locator("code.secret").innerText();
const status = (key) => fetch(`${base}/v1/models`, { headers: { authorization: `Bearer ${key}` } }).then((answer) => answer.status);
assert.notEqual(first, second);
for (const [key, expected] of [[second, 200], [first, 401]]) {
  let got;
  for (let tries = 0; tries < 100 && got !== expected; tries += 1) got = await status(key);
  assert.equal(got, expected);
}
await page.getByRole("button", { name: "Revoke from the page" }).click();
await page.waitForURL(`${base}/dashboard/keys`);
assert.equal(await page.getByText("from the page").count(), 0);

// A picture that is to be fetched is kept, shown, and deleted; one that goes out with its answer is not.
await page.goto(`${base}/dashboard/pictures`);
await page.getByText("No picture is kept.").waitFor();
const draw = async (fields) => {
  const answer = await fetch(`${base}/v1/images/generations`, {
    method: "POST",
    headers: { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ prompt: "A yellow star", ...fields }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).data[0];
};
await draw({ response_format: "url" });
await draw({ response_format: "url", output_format: "jpeg" });
await draw({ response_format: "b64_json" });
await page.reload();
const kept = page.locator(".gallery img");
assert.deepEqual(await kept.evaluateAll((all) => Promise.all(all.map((one) => one.decode().then(() => one.naturalWidth)))), [1024, 1024]);
assert.match(await page.locator("figcaption").first().innerText(), /browser\n1024×1024 jpeg, [\d.]+ KiB\nmade .* ago\ngoes in \d+ min at the latest$/);
assert.doesNotMatch(await page.content(), /yellow/i);
const gone = await kept.first().getAttribute("src");
await page.getByRole("button", { name: "Delete the picture" }).first().press("Enter");
await page.waitForURL(`${base}/dashboard/pictures`);
assert.equal(await kept.count(), 1);
// As large as it is; and one that went between the page and the picture.
await kept.click();
await page.waitForURL(`${base}/dashboard/pictures/*/file`);
assert.equal(await page.locator("img").evaluate((picture) => picture.naturalWidth), 1024);
assert.equal((await page.goto(`${base}${gone}`)).status(), 404);
await page.getByRole("heading", { name: "This picture is gone" }).waitFor();
await look(page, "picture-gone");
assert.match(complaints.splice(0).join(), /^console: Failed to load resource: .* 404 /);

// Every page, in every dress. The session goes along.
const storageState = await light.context.storageState();
const cookie = storageState.cookies.find((cookie) => cookie.name === "portcullis_operator");
assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/dashboard"]);
for (const [name, options] of DRESSES) {
  const { context, page } = await browser.open(base, { ...options, storageState });
  for (const path of pages) {
    await page.goto(`${base}/dashboard${path}`);
    if (path === "") await page.locator("details summary").click();
    await look(page, `${name}${path.replace(/[/?]/g, "-") || "-overview"}`);
  }
  await context.close();
}

// Without scripts everything but the playground works.
const plain = await browser.open(base, { javaScriptEnabled: false, storageState });
for (const path of pages) {
  const answer = await plain.page.goto(`${base}/dashboard${path}`);
  assert.equal(answer.status(), 200, path);
  assert.equal(await plain.page.locator("main h1").count(), 1);
  if (path === "/pictures") await plain.page.waitForFunction(() => document.querySelector(".gallery img").naturalWidth === 1024);
}
assert.match(await plain.page.content(), /<noscript>.*needs JavaScript/);
await plain.context.close();

// The overview follows what happens.
await page.goto(`${base}/dashboard`);
await page.evaluate(() => { document.querySelector("#live .state").textContent = "old"; });
await page.locator("#live .state", { hasText: "Turns can run." }).waitFor();

await page.getByRole("button", { name: "Sign out" }).press("Enter");
await page.waitForURL(`${base}/dashboard/sign-in`);
await page.goto(`${base}/dashboard`);
assert.equal(page.url(), `${base}/dashboard/sign-in`);
// A session that has ended is good nowhere.
const after = await browser.open(base, { storageState });
await after.page.goto(`${base}/dashboard`);
assert.equal(after.page.url(), `${base}/dashboard/sign-in`);

await browser.close();
