/** Chromium and Node: an instance in a worker of a page, with its store in the origin-private file system. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { listen, open } from "../node.js";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const TYPES: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
const PAGE = '<!doctype html><meta charset="utf-8"><title>test</title><script type="module" src="/test/page/page.js"></script>';

const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"].find(
  (name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0,
);

/** Serves the package, and hears what the page reports. */
function serve(heard: (step: string, value: unknown) => void): Promise<{ origin: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    if (request.method === "POST" && path.startsWith("/report/")) {
      let body = "";
      request.on("data", (data: Buffer) => (body += data.toString()));
      request.on("end", () => {
        response.writeHead(204).end();
        heard(path.slice(8), JSON.parse(body));
      });
      return;
    }
    if (path === "/") {
      response.writeHead(200, { "Content-Type": "text/html" }).end(PAGE);
      return;
    }
    fs.readFile(join(PACKAGE, normalize(path)), (error, data) => {
      const type = TYPES[extname(path)];
      if (error !== null || type === undefined) response.writeHead(404).end();
      else response.writeHead(200, { "Content-Type": type }).end(data);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      const close = (): void => {
        server.close();
        server.closeAllConnections();
      };
      resolve({ origin: `http://localhost:${port}`, close });
    });
  });
}

const skip = CHROMIUM === undefined && "Chromium is not installed (Debian: apt-get install chromium)";

test("a page pairs with Node, keeps its store over a reload, and has it alone", { skip, timeout: 180_000 }, async () => {
  const temp = fs.mkdtempSync(join(tmpdir(), "lama-js-page-"));
  const reports = new Map<string, (value: unknown) => void>();
  const reported = (step: string): Promise<Record<string, unknown>> =>
    new Promise((resolve) => reports.set(step, resolve as (value: unknown) => void));
  const [first, again, failed] = [reported("first"), reported("again"), reported("failed")];
  const server = await serve((step, value) => reports.get(step)?.(value));
  const host = open(join(temp, "node"), { create: { email: "node@lama.local", name: "test" } });
  await listen(host, 0, [server.origin]);
  const { link } = await host.call({ type: "invite" });
  const data = new Uint8Array(3_000_000).map((_, at) => (at * 7) % 251);
  const made = host.store(data).then((content) => host["instance"].makeFile("down.bin", content));
  const given = { link, person: host.identity.person, root: (await made).root };
  const paired = new Promise<string>((resolve) =>
    host.on((event) => event.type === "paired" && resolve(event.contact.person)),
  );
  const page = `${server.origin}/#${encodeURIComponent(JSON.stringify(given))}`;
  const options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
  options.push("--disable-background-networking", "--disable-component-update", "--disable-sync");
  const chromium = spawn(CHROMIUM ?? "", [...options, `--user-data-dir=${join(temp, "profile")}`, page], {
    stdio: "ignore",
    // A group of its own: the program is a script with children.
    detached: true,
  });
  const gone = new Promise((resolve) => chromium.once("exit", resolve));
  try {
    const wrong = failed.then((text) => assert.fail(`in the page: ${String(text)}`));
    const person = await Promise.race([paired, wrong]);
    await host.call({ type: "share", root: given.root, with: [person] });
    const one = await Promise.race([first, wrong]);
    const root = String(one["root"]);
    const sum = data.reduce((sum, byte) => (sum + byte) % 65_521, 0);
    assert.deepEqual(one, { ...one, second: "store-locked", email: "node@lama.local", stored: 5_000_000, bytes: 3_000_000, sum, svg: "<svg" });
    const arrived = async (): Promise<number> => {
      for (;;) {
        const tree = await host.tree(root).catch(() => undefined);
        if (tree !== undefined) return tree.files[0]?.size ?? 0;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    assert.equal(await arrived(), 5_000_000);
    const two = await Promise.race([again, wrong]);
    assert.deepEqual(two, { wrong: "locked", same: true, texts: ["hello from the page", "shared up.bin"], ended: null });
  } finally {
    if (chromium.pid !== undefined) process.kill(-chromium.pid, "SIGKILL");
    await gone;
    server.close();
    await host.call({ type: "shutdown" });
    await host.ended;
    fs.rmSync(temp, { recursive: true, force: true, maxRetries: 5 });
  }
});
