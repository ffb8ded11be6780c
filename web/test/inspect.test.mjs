// The page of `lama inspect` in a real browser beside real processes: what it shows, while it changes, and to whom.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./browser.mjs";
import { Program } from "./program.mjs";

const PATIENCE = 120_000;
const BIG = 30_000_000;
/** A name of somebody else's that leads to this machine, as a page could let its own do. */
const REBOUND = "rebound.test";

const place = mkdtempSync(join(tmpdir(), "lama-inspect-"));
const shots = process.env.LAMA_SCREENSHOTS;
const ada = new Program(place, "ada");
const bob = new Program(place, "bob");
/** `lama inspect` of Bob's instance, which runs in another process. */
const inspect = new Program(place, "bob");
const wrongs = [];
let browser, page, url;

async function shot(name) {
  if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

/** The cells of a table, without its heads. */
async function rows(id) {
  const lines = await page.locator(`#${id} tr`).all();
  const cells = await Promise.all(lines.map((line) => line.locator("td").allInnerTexts()));
  return cells.filter((row) => row.length > 0);
}

/** Waits until it is so; gives what was found. */
async function until(what, find) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await find();
    if (found) return found;
    if (Date.now() > end) {
      assert.fail(`waited in vain until ${what}; the page shows ${await page.locator("body").innerText()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The row of Ada's instance among the sessions, by the heads of the table. */
async function session() {
  const heads = await page.locator("#peers th").allInnerTexts();
  const row = (await rows("peers")).find((row) => row[0] === "ada@lama.test");
  return row && Object.fromEntries(heads.map((head, at) => [head, row[at]]));
}

const started = (line) => (line.urls === undefined ? undefined : line);

before(async () => {
  if (shots !== undefined) mkdirSync(shots, { recursive: true });
  for (const [program, email] of [[ada, "ada@lama.test"], [bob, "bob@lama.test"]]) {
    program.ask("init", email, "--no-passphrase", "--name", email.split("@")[0]);
  }
  await ada.start(started, "run", "--port", "0");
  await bob.start(started, "run", "--port", "0");
  bob.askWith({ LAMA_INVITATION: ada.ask("invite").link }, "join");
  url = await inspect.start((line) => line.url, "inspect");
  browser = await launch(`--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`);
  page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => wrongs.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrongs.push(message.text()));
});

after(async () => {
  await browser?.close();
  for (const program of [inspect, bob, ada]) await program.stop();
  rmSync(place, { recursive: true, force: true });
});

test("it shows the contact, the session, the route and what is well", async () => {
  await page.goto(url);
  const row = await until("the session is in sync", async () => {
    const row = await session();
    return row?.State === "in sync" && row;
  });
  assert.equal(row.Path, "direct");
  assert.equal(row.Instance, "ada");
  const route = (await rows("routes")).find((row) => row[0] === "ada@lama.test");
  assert.equal(route[2], "direct");
  assert.match(route[4], /^ws:\/\/localhost:\d+$/);
  assert.ok(bob.ask("route", "list").routes.some((known) => known.route === route[4]));
  assert.match(await page.locator("#state").innerText(), /^ws:\/\/localhost:\d+, on tokio; \d+ objects/);
  await until("its health is there", async () => (await rows("health")).some((row) => row[1].includes("store opens")));
  await shot("inspect-1-session");
});

test("a transfer is seen as it happens, without a reload", async () => {
  const mark = await page.evaluate(() => (window.mark = Math.random()));
  const megabytes = (text) => (text.endsWith("MB") ? Number.parseFloat(text) : 0);
  assert.ok(megabytes((await session()).Received) < 1);
  writeFileSync(join(place, "up.bin"), randomBytes(BIG));
  ada.ask("share", join(place, "up.bin"), "--with", "bob@lama.test");
  await until("its bytes are counted", async () => megabytes((await session()).Received) >= BIG / 1e6);
  const file = await until("it is listed", async () => (await rows("shared")).find((row) => row[0] === "up.bin"));
  assert.deepEqual(file.slice(1, 4), ["file", "30.0 MB", "ada@lama.test"]);
  await until("both hold the same again", async () => {
    const row = await session();
    return row.State === "in sync" && row["To get"] === "0";
  });
  // What somebody else names is text, whatever it looks like.
  writeFileSync(join(place, "<b>bold.txt"), "x");
  ada.ask("share", join(place, "<b>bold.txt"), "--with", "bob@lama.test");
  await until("it is listed", async () => (await rows("shared")).some((row) => row[0] === "<b>bold.txt"));
  assert.equal(await page.locator("#shared b").count(), 0);
  assert.equal(await page.evaluate(() => window.mark), mark, "the page was not loaded anew");
  await shot("inspect-2-transfer");
});

test("whoever does not know the word gets nothing", async () => {
  const at = new URL(url);
  const word = at.pathname.split("/")[1];
  assert.match(word, /^[0-9a-f]{32}$/);
  const wrong = word.replace(/^./, (first) => (first === "0" ? "1" : "0"));
  const stranger = await browser.newPage();
  for (const path of ["/", "/state.json", "/page.js", `/${wrong}/`, `/${wrong}/state.json`, `/${word}`, `/${word}x/`]) {
    const answer = await stranger.goto(`${at.origin}${path}`);
    assert.equal(answer.status(), 404, path);
    assert.equal(await answer.text(), "nothing is here\n", path);
  }
  // With the word nothing but GET is answered.
  const posted = await stranger.request.post(`${url}state.json`);
  assert.equal(posted.status(), 405);
  await stranger.close();
});

test("a foreign name for this machine, and a foreign page, get nothing though they know the word", async () => {
  const at = new URL(url);
  const stranger = await browser.newPage();
  for (const path of ["", "state.json", "page.js"]) {
    const answer = await stranger.goto(`http://${REBOUND}:${at.port}${at.pathname}${path}`);
    assert.equal(answer.status(), 403, path);
    assert.equal(await answer.text(), "ask for it by its address on this machine\n", path);
  }
  const server = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>foreign</title>"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  await stranger.goto(`http://localhost:${server.address().port}/`);
  const outcome = await stranger.evaluate(async (url) => {
    const fetched = await fetch(`${url}state.json`).then((answer) => answer.text(), () => "refused");
    const frame = document.createElement("iframe");
    frame.src = url;
    const framed = new Promise((resolve) => frame.addEventListener("load", resolve));
    document.body.append(frame);
    await framed;
    return [fetched, frame.contentDocument === null];
  }, url);
  assert.deepEqual(outcome, ["refused", true]);
  const framed = stranger.frames().find((frame) => frame !== stranger.mainFrame());
  assert.equal(await framed.locator("#peers").count(), 0, "it may not stand in a frame");
  await stranger.close();
  server.close();
});

test("it shows that the other side goes, why, and when the instance itself is gone", async () => {
  assert.deepEqual(wrongs, []);
  await ada.stop("SIGKILL");
  const row = await until("the session is over", async () => {
    const row = await session();
    return row.Path === "none" && row["Why not"] !== "" && row;
  });
  assert.notEqual(row.State, "in sync");
  await shot("inspect-3-gone");
  await bob.stop();
  await until("it says so", async () => /does not answer/.test(await page.locator("#state").innerText()));
});
