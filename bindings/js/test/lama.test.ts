/** An instance in Node with its store on a disk, over real WebSockets with the `lama` program. */

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { Keys, LamaError, isAllowed, listen, load, open, type Host, type LamaEvent } from "../node.js";
import { Program, clean, temp, until } from "./program.js";

after(clean);
load();

function next<T extends LamaEvent["type"]>(
  host: Host,
  type: T,
  is: (event: Extract<LamaEvent, { type: T }>) => boolean = () => true,
): Promise<Extract<LamaEvent, { type: T }>> {
  return new Promise((resolve) => {
    const stop = host.on((event) => {
      if (event.type !== type || !is(event as Extract<LamaEvent, { type: T }>)) return;
      stop();
      resolve(event as Extract<LamaEvent, { type: T }>);
    });
  });
}

function someBytes(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

async function contentOf(host: Host, root: string): Promise<Buffer> {
  const tree = await until("the shared file is here", () => host.tree(root).catch(() => undefined));
  const [file] = tree.files;
  assert.ok(file !== undefined);
  const pieces = [];
  for await (const piece of host.pieces(file.blob, file.size)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test("Node joins the program, talks, shares both ways, and comes back from its store", async () => {
  const program = new Program("ada@lama.local");
  await program.ask("init", program.email, "--no-passphrase");
  await program.run("--port", "0");
  const { link } = await program.ask("invite", "--no-wait");
  const directory = join(temp, "node-joins");
  const create = { email: "node@lama.local", name: "test" };
  let host = open(directory, { create });
  const { contact } = await host.call({ type: "join", link: String(link) });
  assert.deepEqual([contact.email, contact.state], [program.email, "active"]);

  const heard = next(host, "message");
  await program.ask("send", create.email, "hello node");
  assert.equal((await heard).message.text, "hello node");
  await host.call({ type: "send", to: contact.person, text: "hello program" });
  await until("the program shows it", async () =>
    JSON.stringify(await program.ask("log")).includes("hello program") ? true : undefined,
  );

  const up = someBytes(3_000_001, 1);
  const made = await host.shareFile("up.bin", up, [contact.person]);
  await until("the program lists it", async () =>
    JSON.stringify(await program.ask("shared")).includes(made.root) ? true : undefined,
  );
  const target = join(temp, "got");
  await program.ask("get", "up.bin", target);
  assert.ok(fs.readFileSync(join(target, "up.bin")).equals(up));

  const down = someBytes(4_000_003, 2);
  const source = join(temp, "down.bin");
  fs.writeFileSync(source, down);
  const shared = next(host, "shared");
  await program.ask("share", source, "--with", create.email);
  assert.ok((await contentOf(host, (await shared).root)).equals(down));

  assert.throws(() => open(directory), { code: "store-locked" });
  await host.call({ type: "shutdown" });
  assert.equal(await host.ended, null);

  // What was said meanwhile arrives after the restart, and what was there before is there.
  await program.ask("send", create.email, "are you there?");
  host = open(directory);
  const later = await until("the message of meanwhile", async () => {
    const { messages } = await host.call({ type: "log", with: contact.person, limit: 20 });
    return messages.some(({ text }) => text === "are you there?") ? messages : undefined;
  });
  assert.ok(later.some(({ text }) => text === "hello node") && later.some(({ text }) => text === "hello program"));
  const { items } = await host.call({ type: "shared" });
  assert.deepEqual(items.map(({ name }) => name).sort(), ["down.bin", "up.bin"]);
  assert.ok((await contentOf(host, made.root)).equals(up));
  const { status } = await host.call({ type: "status" });
  assert.deepEqual([status.peers[0]?.path, status.peers[0]?.dialled], ["direct", true]);
  await host.call({ type: "shutdown" });
  await program.stop();
});

test("the program joins Node, and comes back when Node was away", async () => {
  const directory = join(temp, "node-invites");
  const create = { email: "inviter@lama.local", name: "test" };
  let host = open(directory, { create });
  let listener = await listen(host);
  const { link } = await host.call({ type: "invite", confirm: true });
  const program = new Program("bob@lama.local");
  await program.ask("init", program.email, "--no-passphrase");
  await program.run("--no-listen");
  const pending = next(host, "pairingPending", ({ pairing }) => pairing.waitsFor === "ourApproval");
  const joining = program.askWith({ LAMA_INVITATION: link }, "join");
  const { pairing } = await pending;
  assert.match(pairing.checkCode ?? "", /\d{3}/);
  const { contact } = await host.call({ type: "approve", person: pairing.person });
  assert.equal(contact.email, program.email);
  assert.equal((await joining)["state"], "active");

  const folder = [
    { path: "a.txt", data: Buffer.from("a") },
    { path: "deep/b.bin", data: someBytes(700_000, 3) },
  ];
  const made = await host.shareFolder("holiday", folder, [contact.person]);
  await until("the program lists it", async () =>
    JSON.stringify(await program.ask("shared")).includes(made.root) ? true : undefined,
  );
  const target = join(temp, "holiday");
  await program.ask("get", "holiday", target);
  for (const { path, data } of folder) assert.ok(fs.readFileSync(join(target, path)).equals(data));

  const { port } = listener;
  await host.call({ type: "shutdown" });
  await host.ended;
  await listener.close();
  host = open(directory);
  const started = next(host, "sessionStarted");
  listener = await listen(host, port);
  const session = await started;
  assert.deepEqual([session.peer.email, session.dialled], [program.email, false]);
  await host.call({ type: "shutdown" });
  await program.stop();
});

test("who is not asked in does not come in", async () => {
  const host = open(join(temp, "door"), { create: { email: "door@lama.local", name: "test" } });
  const { port } = await listen(host);
  const upgrade = (headers: Record<string, string>): Promise<number> =>
    fetchUpgrade(port, { "Sec-WebSocket-Protocol": "lama.1", ...headers });
  assert.equal(await upgrade({}), 101);
  assert.equal(await upgrade({ Origin: "https://example.org" }), 401);
  assert.equal(await upgrade({ "Sec-WebSocket-Protocol": "chat" }), 401);
  assert.equal((await fetch(`http://localhost:${port}/`)).status, 404);
  await host.call({ type: "shutdown" });
  await assert.rejects(fetch(`http://localhost:${port}/`));
});

async function fetchUpgrade(port: number, headers: Record<string, string>): Promise<number> {
  const { request } = await import("node:http");
  return new Promise((resolve, reject) => {
    const asked = request({
      port,
      host: "127.0.0.1",
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...headers,
      },
    });
    asked.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    asked.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("every address that a name leads to is checked", () => {
  const handed = { loopback: true, private: false };
  const opened = { loopback: false, private: false };
  const lan = { loopback: true, private: true };
  for (const [address, rules, allowed] of [
    ["127.0.0.1", handed, true],
    ["::1", handed, true],
    ["127.8.8.8", opened, false],
    ["::1", opened, false],
    ["192.168.1.2", handed, false],
    ["192.168.1.2", lan, true],
    ["10.0.0.1", handed, false],
    ["172.31.0.1", handed, false],
    ["100.64.0.1", handed, false],
    ["169.254.169.254", handed, false],
    ["fe80::1", handed, false],
    ["fd00::1", lan, true],
    ["::ffff:192.168.1.2", handed, false],
    ["::ffff:127.0.0.1", opened, false],
    ["0.0.0.0", lan, false],
    ["224.0.0.1", lan, false],
    ["255.255.255.255", lan, false],
    ["::", lan, false],
    ["ff02::1", lan, false],
    ["93.184.216.34", opened, true],
    ["2606:2800:220:1:248:1893:25c8:1946", opened, true],
  ] as const)
    assert.equal(isAllowed(address, rules), allowed, `${address} ${JSON.stringify(rules)}`);
});

test("a directory without an instance says so", () => {
  assert.throws(() => open(join(temp, "nobody")), { code: "binding.no-keys" });
  const locked = join(temp, "locked");
  fs.mkdirSync(locked);
  fs.writeFileSync(join(locked, "keys.lama"), Keys.create("l@lama.local", "test").seal("open sesame"));
  assert.throws(() => open(locked), { code: "passphrase_needed" });
  assert.throws(() => open(locked, { passphrase: "wrong" }), LamaError);
});
