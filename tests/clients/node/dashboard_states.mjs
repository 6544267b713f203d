// The dashboard where something waits for its operator, and where nothing goes. ASKING_LINK leads into a gateway whose agents
// ask before they act, and WORK_KEY is a key that has them act; BROKEN_LINK leads into one whose Codex does not start.
import assert from "node:assert/strict";
import { DRESSES, launch, look, signIn } from "./_browser.mjs";

const { ASKING_LINK, WORK_KEY, BROKEN_LINK } = process.env;
const browser = await launch();

/** Signs in, and returns a function that shows what is there in every dress. */
async function enter(link) {
  const base = new URL(link).origin;
  const { context, page } = await browser.open(base, DRESSES[0][1]);
  await signIn(page, link);
  const storageState = await context.storageState();
  const inEveryDress = async (path, name, holds) => {
    for (const [dress, options] of DRESSES) {
      const { context, page } = await browser.open(base, { ...options, storageState });
      await page.goto(`${base}/dashboard${path}`);
      await holds(page);
      await look(page, `${dress}-${name}`);
      await context.close();
    }
  };
  return { base, page, inEveryDress };
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
    await asking.inEveryDress("/approvals", "approval", waiting);
    await asking.inEveryDress("", "overview-asking", (page) => page.getByRole("link", { name: "1 waiting for your answer" }).waitFor());
  }
  await asking.page.getByRole("button", { name: button }).press("Enter");
  await asking.page.getByRole("status").filter({ hasText: said }).waitFor();
  await look(asking.page, `approval-${button}`);
  assert.match(await acted, heard);
}

// A Codex that does not start.
const broken = await enter(BROKEN_LINK);
await broken.inEveryDress("", "overview-broken", (page) => page.getByText("No turn can run.").waitFor());
await broken.inEveryDress("/pictures", "pictures-off", (page) => page.getByText("Pictures are off.").waitFor());
await broken.page.goto(`${broken.base}/dashboard/codex`);
await broken.page.getByRole("button", { name: "Begin" }).press("Enter");
await broken.page.getByRole("alert").filter({ hasText: "It failed: " }).waitFor();
await broken.inEveryDress("/codex", "sign-in-of-codex-failed", (page) => page.getByRole("button", { name: "Try again" }).waitFor());

await browser.close();
