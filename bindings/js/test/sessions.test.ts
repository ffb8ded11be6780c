/** Sessions without a node, over real WebSockets: with each other, and with the `lama` program. */

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";

import { Keys, LamaError, Sessions, load, type KnownPeer, type MadeInvitation, type SessionStep } from "../sessions/index.js";
import { Program, clean, until } from "./program.js";

after(clean);
await load(fs.readFileSync(new URL("../sessions/lama_bg.wasm", import.meta.url)));

/** A host of some forty lines: what is decided by the program is in `live`. */
class Host {
  readonly sessions: Sessions;
  readonly steps: SessionStep[] = [];
  readonly invitations = new Map<string, MadeInvitation>();
  readonly contacts = new Map<string, KnownPeer>();
  /** By whose key an invitation is spent. */
  readonly spent = new Map<string, string>();
  private readonly links = new Map<number, WebSocket>();
  private server: WebSocketServer | undefined;
  private timer: NodeJS.Timeout | undefined;
  private next = 1;
  private ended = false;

  constructor(email: string) {
    this.sessions = new Sessions(Keys.create(email, "test"));
  }

  async listen(): Promise<string> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "lama.1" });
    this.server = server;
    server.on("connection", (socket) => this.sessions.accept(this.attach(socket)));
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `ws://localhost:${(server.address() as { port: number }).port}`;
    this.sessions.listening(url);
    return url;
  }

  invite(url: string): string {
    const made = this.sessions.invite([url]);
    this.invitations.set(made.locator, made);
    return made.link;
  }

  join(invitation: string): number {
    const link = this.next++;
    return this.open(link, this.sessions.join(link, invitation)[0] ?? "");
  }

  dial(peer: KnownPeer): number {
    const link = this.next++;
    this.sessions.dial(link, peer);
    return this.open(link, peer.url);
  }

  send(link: number, stream: number, message: Uint8Array): void {
    this.sessions.send(link, stream, message);
    this.live();
  }

  close(link: number): void {
    this.sessions.close(link);
    this.live();
  }

  /** The step of that kind, when it has come. */
  step<T extends SessionStep["type"]>(type: T): Promise<Extract<SessionStep, { type: T }>> {
    return until(`a step ${type}`, async () => {
      const at = this.steps.findIndex((step) => step.type === type);
      return at < 0 ? undefined : (this.steps.splice(at, 1)[0] as Extract<SessionStep, { type: T }>);
    });
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    for (const socket of this.links.values()) socket.terminate();
    this.server?.close();
  }

  private open(link: number, url: string): number {
    this.attach(new WebSocket(url, "lama.1", { perMessageDeflate: false }), link);
    return link;
  }

  private attach(socket: WebSocket, link = this.next++): number {
    this.links.set(link, socket);
    socket.on("open", () => this.live());
    socket.on("message", (frame: Buffer) => {
      this.sessions.frame(link, frame);
      this.live();
    });
    socket.on("close", () => {
      this.links.delete(link);
      this.sessions.linkDown(link);
      this.live();
    });
    return link;
  }

  private live(): void {
    if (this.ended) return;
    for (let step = this.sessions.poll(); step !== undefined; step = this.sessions.poll()) {
      if (step.type === "asked") {
        this.sessions.answer(step.link, this.invitations.get(step.locator)?.link, this.spent.get(step.locator));
      }
      else if (step.type === "proved") this.sessions.expect(step.link, this.contacts.get(step.key));
      else if (step.type === "verified") {
        // A program writes both down before it goes on.
        this.contacts.set(step.peer.key, step.peer);
        if (step.locator !== null) this.spent.set(step.locator, step.peer.key);
        this.sessions.proceed(step.link);
      }
      this.steps.push(step);
    }
    for (const [link, socket] of this.links) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      while (socket.bufferedAmount < 1_000_000) {
        const frame = this.sessions.pollFrame(link);
        if (frame === undefined) break;
        socket.send(frame, () => this.live());
      }
      if (this.steps.some((step) => step.link === link && (step.type === "closed" || step.type === "failed"))) socket.close();
    }
    clearTimeout(this.timer);
    const wait = this.sessions.timeout();
    if (wait === undefined) return;
    this.timer = setTimeout(() => {
      this.sessions.handleTimeout();
      this.live();
    }, wait);
  }
}

test("two pair, say something, and know each other afterwards", async () => {
  const [ann, ben] = [new Host("ann@lama.local"), new Host("ben@lama.local")];
  const invitation = ann.invite(await ann.listen());
  ben.join(invitation);
  const [here, there] = [await ann.step("open"), await ben.step("open")];
  assert.match(here.checkCode ?? "", /^\d{3} \d{3}$/);
  assert.equal(here.checkCode, there.checkCode);
  ben.send(there.link, 1, Buffer.from("hello"));
  const heard = await ann.step("message");
  assert.deepEqual([heard.stream, Buffer.from(heard.message).toString()], [1, "hello"]);

  // What is queued goes before the goodbye.
  ben.sessions.send(there.link, 3, new Uint8Array(1_000_000));
  ben.close(there.link);
  assert.equal((await ann.step("message")).message.length, 1_000_000);
  assert.equal((await ann.step("closed")).code, "done");
  assert.equal((await ben.step("closed")).code, "done");
  const [known] = ben.contacts.values();
  assert.equal(known?.email, "ann@lama.local");
  const link = ben.dial(known);
  assert.equal((await ben.step("open")).checkCode, null);
  const long = new Uint8Array(1_000_000).map((_, at) => at);
  for (let n = 0; n < 10; n += 1) ben.send(link, 3, long);
  for (let n = 0; n < 10; n += 1) assert.ok(Buffer.from((await ann.step("message")).message).equals(long));

  // The invitation is spent.
  const eve = new Host("eve@lama.local");
  eve.join(invitation);
  assert.equal((await eve.step("failed")).code, "rejected");
  assert.equal((await ann.step("failed")).code, "session.spent");
  assert.throws(() => ben.sessions.send(link, 300, new Uint8Array()), { code: "session.no-stream" });
  assert.throws(() => ann.sessions.join(99, invitation), (error: LamaError) => error.code.startsWith("invite.") || error.code.startsWith("pairing."));
  for (const host of [ann, ben, eve]) host.end();
});

test("the program pairs with a session, by whose invitation ever, and knows it afterwards", async () => {
  const program = new Program("ada@lama.local");
  await program.ask("init", program.email, "--no-passphrase");
  await program.run("--port", "0");
  const { link } = await program.ask("invite", "--no-wait");
  const host = new Host("light@lama.local");
  const url = await host.listen();
  const joined = host.join(String(link));
  await host.step("open");
  const contacts = async (): Promise<string> => JSON.stringify(await program.ask("contacts"));
  await until("the program has it as a contact", async () => ((await contacts()).includes("light@lama.local") ? true : undefined));
  // What the program says there is CHUM, which a session hands on as it is.
  assert.equal((await host.step("message")).link, joined);
  host.close(joined);

  const [known] = host.contacts.values();
  assert.ok(known !== undefined);
  host.dial(known);
  await host.step("open");

  const other = new Program("bob@lama.local");
  await other.ask("init", other.email, "--no-passphrase");
  await other.run("--port", "0");
  await other.askWith({ LAMA_INVITATION: host.invite(url) }, "join");
  assert.match((await host.step("open")).checkCode ?? "", /^\d{3} \d{3}$/);
  host.end();
  await program.stop();
  await other.stop();
});

test("keys are in the same file everywhere", () => {
  const keys = Keys.create("ann@lama.local", "desk");
  const file = keys.seal("a passphrase");
  assert.ok(Keys.needsPassphrase(file));
  assert.throws(() => Keys.open(file, "another"), (error: LamaError) => error.code !== undefined);
  assert.deepEqual(Keys.open(file, "a passphrase").identity(), keys.identity());
});
