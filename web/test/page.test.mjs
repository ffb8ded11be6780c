// The page in a real browser beside a real process: the scene of the seed.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./browser.mjs";
import { Program } from "./program.mjs";

const NODE = "node-demo@lama.local";
const ME = "demo@lama.local";
const BIG = 50_000_000;
const PATIENCE = 120_000;

const place = mkdtempSync(join(tmpdir(), "lama-page-"));
const shots = process.env.LAMA_SCREENSHOTS;
const node = new Program(place, "demo");
// The instance of the demo lies below the data directory.
const process_ = new Program(place, join("demo", "web"));
let browser, context, page;

const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function shot(name) {
  if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

/** Waits until it is so. */
async function until(what, is) {
  const end = Date.now() + PATIENCE;
  while (!(await is())) {
    assert.ok(Date.now() < end, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const texts = (where) => where.locator("#messages .text").allInnerTexts();
const inSync = (where) => where.locator("#contacts .dot.good").waitFor({ timeout: PATIENCE });

/** A profile of its own, such as another person's browser. */
async function profile() {
  const made = await browser.newContext({ acceptDownloads: true });
  made.setDefaultTimeout(PATIENCE);
  return made;
}

async function say(where, text) {
  await where.fill("#text", text);
  await where.press("#text", "Enter");
}

before(async () => {
  mkdirSync(join(place, "folder"));
  writeFileSync(join(place, "folder", "hello.txt"), "hello from the folder\n");
  if (shots !== undefined) mkdirSync(shots, { recursive: true });
  browser = await launch();
  context = await profile();
  page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(`the page failed: ${error.message}`));
});

after(async () => {
  await browser?.close();
  await node.stop();
  await process_.stop();
  rmSync(place, { recursive: true, force: true });
});

test("the page takes the invitation of its address, and both are contacts", async () => {
  const url = await node.run("demo", "--web", join(place, "folder"));
  await page.goto(url);
  await inSync(page);
  assert.equal(new URL(page.url()).hash, "", "the invitation does not stay in the address");
  const contact = process_.ask("contacts").contacts[0];
  assert.equal(contact.email, ME);
  assert.equal(contact.state, "active");
  assert.match(await page.locator("#contacts").innerText(), new RegExp(NODE));
  const code = contact.check_code.replace(/\s/g, "");
  const shown = (await page.locator("#route").innerText()).replace(/\s/g, "");
  assert.ok(shown.includes(code), `${code} in ${shown}`);
  assert.match(await page.locator("#route").innerText(), /ws:\/\/localhost:/);
  await shot("1-paired");
});

test("they talk, both ways", async () => {
  await say(page, "hello process, <b>this is the page</b>");
  await until("the process has it", () =>
    process_.ask("log", ME).channels[0].messages.some((message) => message.text.startsWith("hello process")),
  );
  process_.ask("send", ME, "well heard");
  await until("the page has it", async () => (await texts(page)).includes("well heard"));
  // What somebody writes is text, whatever it looks like.
  assert.equal(await page.locator("#messages b").count(), 0);
  assert.ok((await texts(page)).includes("hello process, <b>this is the page</b>"));
});

test("a file of 50 MB goes to the process, and one comes back", async () => {
  const [up, down] = [randomBytes(BIG), randomBytes(BIG)];
  writeFileSync(join(place, "up.bin"), up);
  writeFileSync(join(place, "down.bin"), down);
  await page.setInputFiles("#upload", join(place, "up.bin"));
  const into = join(place, "got");
  mkdirSync(into);
  await until("the process can have it", () => {
    try {
      process_.ask("get", "up.bin", into, "--force");
      return true;
    } catch {
      return false;
    }
  });
  assert.equal(sha(readFileSync(join(into, "up.bin"))), sha(up));

  process_.ask("share", join(place, "down.bin"), "--with", ME);
  const row = page.locator('#shared li[data-name="down.bin"]');
  await row.waitFor();
  await inSync(page);
  await shot("2-files");
  const download = page.waitForEvent("download");
  await row.getByRole("button").click();
  const path = await (await download).path();
  assert.equal(sha(readFileSync(path)), sha(down));
});

test("a folder shows its files", async () => {
  const row = page.locator('#shared li[data-name="folder"]');
  await row.getByRole("button").first().click();
  await row.getByText("hello.txt").waitFor();
  const download = page.waitForEvent("download");
  await row.locator("ul button").click();
  assert.equal(readFileSync(await (await download).path(), "utf8"), "hello from the folder\n");
});

test("another tab of the same browser is told where the instance is", async () => {
  const second = await context.newPage();
  await second.goto(node.url.split("#")[0]);
  await second.getByText("This is open in another tab").waitFor();
  await second.close();
});

test("a reload loses nothing and needs no invitation", async () => {
  const before = await texts(page);
  await page.reload();
  await inSync(page);
  await until("the conversation is there", async () => (await texts(page)).length >= before.length);
  assert.deepEqual((await texts(page)).slice(0, before.length), before);
  await say(page, "back again");
  await until("the process has it", () =>
    process_.ask("log", ME).channels[0].messages.some((message) => message.text === "back again"),
  );
});

test("the process is killed and comes back; the page goes on", async () => {
  await node.stop("SIGKILL");
  await until("the page has seen it", async () => (await page.locator("#contacts .dot.good").count()) === 0);
  await shot("3-alone");
  await say(page, "are you there?");
  const port = new URL(node.url).port;
  await process_.run("run", "--web", "--port", port);
  await inSync(page);
  await until("the message has arrived", () =>
    process_.ask("log", ME).channels[0].messages.some((message) => message.text === "are you there?"),
  );
});

test("a spent, a revoked and a wrong invitation are refused in plain words", async () => {
  const other = await profile();
  const stranger = await other.newPage();
  const base = process_.url.split("#")[0];
  await stranger.goto(base);
  await stranger.fill("#create-form [name=email]", "stranger@lama.local");
  await stranger.click("#create-form button");
  await stranger.locator("#join-form textarea").waitFor();
  const take = async (link) => {
    await stranger.fill("#join-form textarea", link);
    await stranger.click("#join-form button");
    const alarm = stranger.locator("#alarms .notice").last();
    await alarm.waitFor();
    const text = await alarm.locator("span").innerText();
    await alarm.getByRole("button").click();
    return text;
  };
  assert.ok((await take("lama://join#nonsense")).length > 20);
  const revoked = process_.ask("invite", "--no-wait");
  process_.ask("revoke", revoked.locator);
  assert.ok((await take(revoked.link)).length > 20);
  assert.equal(await stranger.locator("#contacts li").count(), 0);
  assert.ok(!process_.ask("contacts").contacts.some((contact) => contact.email === "stranger@lama.local"));
  // Taken once by this page, it is spent for another one.
  const link = process_.ask("invite", "--no-wait").link;
  await stranger.fill("#join-form textarea", link);
  await stranger.click("#join-form button");
  await inSync(stranger);
  const third = await (await profile()).newPage();
  await third.goto(base);
  await third.fill("#create-form [name=email]", "late@lama.local");
  await third.click("#create-form button");
  await third.fill("#join-form textarea", link);
  await third.click("#join-form button");
  await third.locator("#alarms .notice").first().waitFor();
  assert.equal(await third.locator("#contacts li").count(), 0);
  if (shots !== undefined) await third.screenshot({ path: join(shots, "4-spent.png"), fullPage: true });
  await third.context().close();
  await other.close();
});

test("two browsers pair and talk through a relay, by what one of them shows", async () => {
  const relay = new Program(place, "relay");
  const address = await relay.start((line) => line.address, "relay", "run", "--dev", "--listen", "127.0.0.1:0");
  const base = process_.url.split("#")[0];
  const [one, two] = [await (await profile()).newPage(), await (await profile()).newPage()];
  for (const [where, email] of [[one, "one@lama.local"], [two, "two@lama.local"]]) {
    await where.goto(base);
    await where.fill("#create-form [name=email]", email);
    await where.click("#create-form button");
    await where.click("#inviting summary");
  }
  assert.ok(await one.locator("#invite").isDisabled(), "nobody could reach it yet");
  await one.fill("#relay", address);
  await one.click("#relay-form button");
  await one.getByText("Others reach you through this relay.").waitFor();
  await one.click("#invite");
  await one.locator("#invitation-code").waitFor();
  await until("the code is drawn", () => one.evaluate(() => document.getElementById("invitation-code").naturalWidth > 50));
  if (shots !== undefined) await one.screenshot({ path: join(shots, "5-invitation.png"), fullPage: true });
  await two.fill("#join-form textarea", await one.inputValue("#invitation-link"));
  await two.click("#join-form button");
  await inSync(one);
  await inSync(two);
  assert.ok(await one.locator("#invitation").isHidden(), "what is spent is shown no more");
  assert.match(await two.locator("#contacts").innerText(), /in sync, through a relay/);
  await say(two, "hello from two");
  await until("one has it", async () => (await texts(one)).includes("hello from two"));
  await one.setInputFiles("#upload", join(place, "folder", "hello.txt"));
  const row = two.locator('#shared li[data-name="hello.txt"]');
  await row.waitFor();
  const download = two.waitForEvent("download");
  await row.getByRole("button").click();
  assert.equal(readFileSync(await (await download).path(), "utf8"), "hello from the folder\n");
  // The relay is kept: after a reload the page stands behind it again, and the other one finds it there.
  await one.reload();
  await inSync(one);
  await say(two, "are you back?");
  await until("one has that, too", async () => (await texts(one)).includes("are you back?"));
  for (const where of [one, two]) await where.context().close();
  await relay.stop();
});

test("a passphrase locks the keys of a page", async () => {
  const made = await profile();
  const locked = await made.newPage();
  const base = process_.url.split("#")[0];
  await locked.goto(base);
  await locked.fill("#create-form [name=email]", "locked@lama.local");
  await locked.fill("#create-form [name=passphrase]", "correct horse");
  await locked.click("#create-form button");
  await locked.locator("#app").waitFor();
  await locked.reload();
  await locked.fill("#unlock-form [name=passphrase]", "wrong");
  await locked.click("#unlock-form button");
  await locked.locator("#alarms .notice").first().waitFor();
  await locked.fill("#unlock-form [name=passphrase]", "correct horse");
  await locked.click("#unlock-form button");
  await locked.locator("#app").waitFor();
  assert.match(await locked.locator("#me").innerText(), /locked@lama\.local/);
  await made.close();
});

test("a page of another site gets neither the files nor a connection", async () => {
  const base = process_.url.split("#")[0];
  const server = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>foreign</title>"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const foreign = await (await profile()).newPage();
  await foreign.goto(`http://localhost:${server.address().port}/`);
  const outcome = await foreign.evaluate(async (base) => {
    const socket = (url) =>
      new Promise((resolve) => {
        const link = new WebSocket(url, "lama.1");
        link.onopen = () => resolve("open");
        link.onerror = () => resolve("refused");
      });
    const fetched = await fetch(base).then((answer) => answer.text(), () => "refused");
    return [await socket(base.replace("http", "ws")), fetched];
  }, base);
  assert.deepEqual(outcome, ["refused", "refused"]);
  await foreign.context().close();
  server.close();
});
