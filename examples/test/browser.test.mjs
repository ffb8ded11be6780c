// The examples that need a browser, in Chromium.

import assert from "node:assert/strict";
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFile, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { LAMA_PROGRAM, LAMA_CHROMIUM, LAMA_PACKAGE, LAMA_EXAMPLES } = process.env;
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
const PATIENCE = 60_000;
const place = mkdtempSync(join(tmpdir(), "lama-examples-"));
let browser, server, origin;

before(async () => {
  server = createServer((request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    const file = path.startsWith("/instance/") ? join(LAMA_PACKAGE, path.slice(9)) : join(LAMA_EXAMPLES, path);
    readFile(file, (error, data) => {
      if (error !== null) response.writeHead(404).end();
      else response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "text/plain" }).end(data);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://localhost:${server.address().port}`;
  const args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
  browser = await chromium.launch({ executablePath: LAMA_CHROMIUM, args });
});

after(async () => {
  await browser?.close();
  server?.close();
  rmSync(place, { recursive: true, force: true, maxRetries: 5 });
});

/** A page in a profile of its own. */
async function open(path) {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(`the page failed: ${error.message}`));
  await page.goto(origin + path);
  return page;
}

test("browser: two browsers pair and talk with nothing but a relay between them", async () => {
  const relay = spawn(LAMA_PROGRAM, ["relay", "run", "--dev", "--json", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const [line] = await once(createInterface({ input: relay.stdout }), "line");
    const { address } = JSON.parse(line);
    const [ada, bob] = [await open("/browser/index.html?email=ada@example.org"), await open("/browser/index.html?email=bob@example.org")];
    for (const [page, email] of [[ada, "ada@example.org"], [bob, "bob@example.org"]]) {
      await page.getByText(email).waitFor(); // its instance is open
      await page.fill("#stand input", address);
      await page.click("#stand button");
    }
    await ada.click("#invite:enabled");
    await ada.waitForFunction(() => document.getElementById("link").value !== "");
    await ada.waitForFunction(() => document.getElementById("code").naturalWidth > 50);
    await bob.fill("#join input", await ada.locator("#link").innerText());
    await bob.click("#join button");
    await ada.getByText("bob@example.org is a contact").waitFor();
    await bob.getByText("ada@example.org is a contact").waitFor();
    for (const [from, to, text] of [[bob, ada, "hello from Bob"], [ada, bob, "hello <b>from</b> Ada"]]) {
      await from.fill("#say input", text);
      await from.click("#say button");
      await to.getByText(text).waitFor();
    }
    assert.equal(await bob.locator("#log b").count(), 0);
    // Both come back to each other after a reload, through the relays that they had told each other of.
    await bob.reload();
    await bob.getByText("bob@example.org").first().waitFor();
    await ada.fill("#say input", "are you back?");
    await ada.click("#say button");
    await bob.getByText("are you back?").waitFor();
    for (const page of [ada, bob]) await page.context().close();
  } finally {
    relay.kill();
    await once(relay, "exit");
  }
});

test("electron: the window joins its main process by an invitation that comes as a message", async () => {
  const main = fork(join(LAMA_EXAMPLES, "electron/process.mjs"), [join(place, "main"), origin]);
  try {
    await once(main, "message"); // ready
    const heard = new Promise((resolve) => main.on("message", ({ heard }) => heard !== undefined && resolve(heard)));
    const context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE);
    const window = await context.newPage();
    window.on("pageerror", (error) => assert.fail(`the window failed: ${error.message}`));
    await window.exposeFunction("invoke", (channel) => {
      const answer = new Promise((resolve) => main.on("message", ({ id, value }) => id === channel && resolve(value)));
      main.send({ channel, id: channel });
      return answer;
    });
    await window.goto(`${origin}/electron/index.html`);
    await window.getByText("node-demo@lama.local is a contact").waitFor();
    assert.equal(await heard, "hello main process");
    await window.getByText("hello window").waitFor();
    await context.close();
  } finally {
    main.disconnect();
    await once(main, "exit");
  }
});
