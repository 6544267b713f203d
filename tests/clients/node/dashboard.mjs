// The dashboard in a real browser: every page in light, dark and on a phone, without scripts and by keyboard; what axe finds;
// what the console says. DASHBOARD_LINK is a one-time link, API_KEY a key, CHROMIUM the browser; SHOTS a directory for pictures.
import assert from "node:assert/strict";
import AxeBuilder from "@axe-core/playwright";
import { chromium } from "playwright-core";

const { DASHBOARD_LINK, API_KEY, CHROMIUM, SHOTS } = process.env;
const base = new URL(DASHBOARD_LINK).origin;
const pages = ["", "/requests", "/usage", "/keys", "/approvals", "/codex", "/confinement", "/audit", "/audit?check", "/playground"];

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const complaints = [];

/** A window that complains of everything that a person would not see. */
async function open(options) {
  const context = await browser.newContext(options);
  context.on("page", (page) => {
    page.on("console", (line) => ["error", "warning"].includes(line.type()) && complaints.push(`console: ${line.text()}`));
    page.on("pageerror", (error) => complaints.push(`error: ${error}`));
    page.on("request", (request) => request.url().startsWith(base) || /^(data|blob|about):/.test(request.url()) || complaints.push(`elsewhere: ${request.url()}`));
  });
  return { context, page: await context.newPage() };
}

/** Looks at a page: nothing too wide, nothing that axe finds. */
async function look(page, name) {
  const wide = (await page.evaluate(() => document.scrollingElement.scrollWidth)) - page.viewportSize().width;
  assert.ok(wide <= 0, `${name} is ${wide} px wider than the window`);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(" | ")}`);
  assert.deepEqual(found, [], name);
}

const light = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const page = light.page;

// Without a session there is only the way in.
await page.goto(`${base}/dashboard/keys`);
assert.equal(page.url(), `${base}/dashboard/sign-in`);
await look(page, "sign-in");
await page.keyboard.type("not-the-code");
await page.keyboard.press("Enter");
await page.getByRole("alert").waitFor();
// The browser says on the console that the answer was 403.
assert.match(complaints.splice(0).join(), /^console: Failed to load resource: .* 403 /);

// By keyboard: the code comes with the link, the field has the focus. What stands behind `#` does not stay in the history.
await page.goto(DASHBOARD_LINK);
await page.waitForURL(`${base}/dashboard/sign-in`);
await page.locator("#code").press("Enter");
await page.waitForURL(`${base}/dashboard`);
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

// Every page, in every dress. The session goes along.
const storageState = await light.context.storageState();
const cookie = storageState.cookies.find((cookie) => cookie.name === "portcullis_operator");
assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/dashboard"]);
for (const [name, options] of [
  ["light", { viewport: { width: 1280, height: 900 }, colorScheme: "light" }],
  ["dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
  ["phone", { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true }],
  ["phone-dark", { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true }],
]) {
  const { context, page } = await open({ ...options, storageState });
  for (const path of pages) {
    await page.goto(`${base}/dashboard${path}`);
    if (path === "") await page.locator("details summary").click();
    await look(page, `${name}${path.replace(/[/?]/g, "-") || "-overview"}`);
  }
  await context.close();
}

// Without scripts everything but the playground works.
const plain = await open({ javaScriptEnabled: false, storageState });
for (const path of pages) {
  const answer = await plain.page.goto(`${base}/dashboard${path}`);
  assert.equal(answer.status(), 200, path);
  assert.equal(await plain.page.locator("main h1").count(), 1);
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
const after = await open({ storageState });
await after.page.goto(`${base}/dashboard`);
assert.equal(after.page.url(), `${base}/dashboard/sign-in`);

assert.deepEqual(complaints, []);
await browser.close();
