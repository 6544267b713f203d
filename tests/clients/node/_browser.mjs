// A real browser for the dashboard's pages: what axe finds, what the console says, what is too wide, what is fetched from elsewhere.
// CHROMIUM is the browser; SHOTS a directory for pictures.
import assert from "node:assert/strict";
import AxeBuilder from "@axe-core/playwright";
import { chromium } from "playwright-core";

const { CHROMIUM, SHOTS } = process.env;

export const DRESSES = [
  ["light", { viewport: { width: 1280, height: 900 }, colorScheme: "light" }],
  ["dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
  ["phone", { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true }],
  ["phone-dark", { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true }],
];

/** A browser, and what it complained of so far. */
export async function launch() {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const complaints = [];
  return {
    complaints,

    /** A window that complains of everything that a person would not see, such as a request to another server than `base`. */
    async open(base, options) {
      const context = await browser.newContext(options);
      context.on("page", (page) => {
        page.on("console", (line) => ["error", "warning"].includes(line.type()) && complaints.push(`console: ${line.text()}`));
        page.on("pageerror", (error) => complaints.push(`error: ${error}`));
        page.on("request", (request) => request.url().startsWith(base) || /^(data|blob|about):/.test(request.url()) || complaints.push(`elsewhere: ${request.url()}`));
      });
      return { context, page: await context.newPage() };
    },

    async close() {
      assert.deepEqual(complaints, []);
      await browser.close();
    },
  };
}

/** Signs in by keyboard: the code comes with the link, the field has the focus. What stands behind `#` does not stay in the history. */
export async function signIn(page, link) {
  const base = new URL(link).origin;
  await page.goto(link);
  await page.waitForURL(`${base}/dashboard/sign-in`);
  await page.locator("#code").press("Enter");
  await page.waitForURL(`${base}/dashboard`);
  return base;
}

/** Looks at a page: nothing too wide, nothing that axe finds. */
export async function look(page, name) {
  const wide = (await page.evaluate(() => document.scrollingElement.scrollWidth)) - page.viewportSize().width;
  assert.ok(wide <= 0, `${name} is ${wide} px wider than the window`);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(" | ")}`);
  assert.deepEqual(found, [], name);
}
