// The dashboard where something waits for its operator, and where nothing goes. ASKING_LINK leads into a gateway whose agents
// ask before they act, and WORK_KEY is a key that has them act; BROKEN_LINK leads into one whose Codex does not start;
// SIGNING_LINK into one whose Codex asks a service here for codes, and TYPE_IN is asked for the person who types one in.
import assert from "node:assert/strict";
import { DRESSES, launch, look, signIn } from "./_browser.mjs";

const { ASKING_LINK, WORK_KEY, BROKEN_LINK, SIGNING_LINK, TYPE_IN } = process.env;
const browser = await launch();
/** What differs most: light and wide, dark and narrow. */
const [wide, , , narrow] = DRESSES;

/** Signs in, and returns a function that looks at a page in both dresses. */
async function enter(link) {
  const base = new URL(link).origin;
  const { context, page } = await browser.open(base, wide[1]);
  await signIn(page, link);
  const storageState = await context.storageState();
  const inBothDresses = async (path, name, holds) => {
    for (const [dress, options] of [wide, narrow]) {
      const { context, page } = await browser.open(base, { ...options, storageState });
      await page.goto(`${base}/dashboard${path}`);
      await holds(page);
      await look(page, `${dress}-${name}`);
      await context.close();
    }
  };
  return { base, page, inBothDresses };
}

// Agents that ask.
const asking = await enter(ASKING_LINK);
const act = async () => {
  const answer = await fetch(`${asking.base}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${WORK_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "codex", messages: [{ role: "user", content: "Please use exec_command." }] }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).choices[0].message.content;
};
const waiting = (page) => page.getByRole("heading", { name: /^command of .*worker$/ }).waitFor();
for (const [button, said, heard] of [["Approve", "Approved.", /tool returned/], ["Decline", "Declined.", /rejected/]]) {
  const acted = act();
  while ((await asking.page.goto(`${asking.base}/dashboard/approvals`)) && !(await asking.page.locator("article").count()));
  if (button === "Approve") {
    await asking.inBothDresses("/approvals", "approval", waiting);
    await asking.inBothDresses("", "overview-asking", (page) => page.getByRole("link", { name: "1 waiting for your answer" }).waitFor());
  }
  await asking.page.getByRole("button", { name: button }).press("Enter");
  await asking.page.getByRole("status").filter({ hasText: said }).waitFor();
  await look(asking.page, `approval-${button}`);
  assert.match(await acted, heard);
}

// A Codex that does not start.
const broken = await enter(BROKEN_LINK);
await broken.inBothDresses("", "overview-broken", (page) => page.getByText("No turn can run.").waitFor());
await broken.inBothDresses("/pictures", "pictures-off", (page) => page.getByText("Pictures are off.").waitFor());
await broken.page.goto(`${broken.base}/dashboard/codex`);
await broken.page.getByRole("button", { name: "Begin" }).press("Enter");
await broken.page.getByRole("alert").filter({ hasText: "It failed: " }).waitFor();
await broken.inBothDresses("/codex", "sign-in-of-codex-failed", (page) => page.getByRole("button", { name: "Try again" }).waitFor());

// A Codex that is signed in: given up the first time, and done the second.
const signing = await enter(SIGNING_LINK);
const code = async (page) => assert.equal(await page.locator("code.secret").innerText(), "LAB-CODE");
const begin = async () => {
  await signing.page.goto(`${signing.base}/dashboard/codex`);
  await signing.page.getByRole("button", { name: "Begin" }).press("Enter");
  await signing.page.getByRole("button", { name: "Give up" }).waitFor();
};
await begin();
await signing.inBothDresses("/codex", "sign-in-of-codex", code);
await signing.page.getByRole("button", { name: "Give up" }).press("Enter");
await begin();
await code(signing.page);
assert.equal((await fetch(TYPE_IN)).status, 200);
const done = signing.page.getByRole("status").filter({ hasText: "Signed in: chatgpt (plus)." });
do {
  await signing.page.getByRole("link", { name: "Look again" }).click();
  await signing.page.getByRole("heading", { name: "Sign Codex in" }).waitFor();
} while (!(await done.count()));
await signing.inBothDresses("/codex", "sign-in-of-codex-done", (page) => page.getByRole("button", { name: "Sign in again" }).waitFor());

await browser.close();
