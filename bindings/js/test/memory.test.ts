/** Two instances in one process, over a socket that is two arrays: no network, no disk. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { DialFailure, Host, Instance, Keys, LamaError, load, type LamaEvent, type Opened, type SocketEvents } from "../node.js";

load();

/** Both ends of a socket in memory, bounded as a real one is. */
function pipe(): [Opened, Opened] {
  const ends: (SocketEvents | undefined)[] = [undefined, undefined];
  const wires: Uint8Array[][] = [[], []];
  let open = true;
  const deliver = (to: 0 | 1): void => {
    setImmediate(() => {
      const end = ends[to];
      if (end === undefined) return;
      for (const frame of wires[to]?.splice(0) ?? []) end.message(frame);
      ends[1 - to]?.drained();
    });
  };
  const end = (own: 0 | 1): Opened => {
    const other = own === 0 ? 1 : 0;
    return {
      socket: {
        send: (frame) => {
          assert.ok(open && frame.byteLength <= 65_535);
          wires[other]?.push(frame);
          deliver(other);
        },
        close: () => {
          if (!open) return;
          open = false;
          setImmediate(() => {
            ends[own]?.closed("local");
            ends[other]?.closed("closed");
          });
        },
        get bufferedAmount() {
          return (wires[other] ?? []).reduce((sum, frame) => sum + frame.byteLength, 0);
        },
      },
      attach: (events) => {
        ends[own] = events;
        deliver(own);
      },
    };
  };
  return [end(0), end(1)];
}

/** Two hosts; whoever dials reaches the other one. */
function two(): [Host, Host] {
  const hosts: Host[] = [];
  const make = (email: string, other: number): Host =>
    new Host(
      new Instance(Keys.create(email, "test")),
      async (dial) => {
        const host = hosts[other];
        if (host === undefined || dial.url !== `ws://localhost:${other + 1}`) throw new DialFailure("refused");
        assert.deepEqual([dial.subprotocol, dial.loopback], ["lama.1", true]);
        const [near, far] = pipe();
        host.accept(far, "127.0.0.1");
        return near;
      },
      setImmediate,
    );
  hosts.push(make("ada@lama.local", 1), make("bob@lama.local", 0));
  const [ada, bob] = hosts as [Host, Host];
  ada.listening(["ws://localhost:1"]);
  return [ada, bob];
}

function next<T extends LamaEvent["type"]>(host: Host, type: T): Promise<Extract<LamaEvent, { type: T }>> {
  return new Promise((resolve) => {
    const stop = host.on((event) => {
      if (event.type !== type) return;
      stop();
      resolve(event as Extract<LamaEvent, { type: T }>);
    });
  });
}

test("two instances pair, talk, share and end", async () => {
  const [ada, bob] = two();
  const { link } = await ada.call({ type: "invite" });
  const paired = next(ada, "paired");
  const { contact } = await bob.call({ type: "join", link });
  assert.deepEqual([contact.email, contact.state], ["ada@lama.local", "active"]);
  assert.match(contact.checkCode ?? "", /^\d{3} ?\d{3}$/);
  assert.equal((await paired).contact.checkCode, contact.checkCode);

  const heard = next(bob, "message");
  await ada.call({ type: "send", to: bob.identity.person, text: "hello <b>bob</b>" });
  const { message } = await heard;
  assert.deepEqual([message.text, message.email], ["hello <b>bob</b>", "ada@lama.local"]);
  const { messages } = await bob.call({ type: "log", with: ada.identity.person, limit: 10 });
  assert.deepEqual(messages.map(({ id }) => id), [message.id]);

  const data = new Uint8Array(5_000_000).map((_, at) => (at * 7) % 251);
  const shared = next(ada, "shared");
  let stored = 0;
  const made = await bob.shareFile("beach.jpg", data, [ada.identity.person], (bytes) => (stored = bytes));
  assert.equal(stored, data.byteLength);
  await shared;
  const tree = await ada.tree(made.root);
  assert.deepEqual([tree.kind, tree.files[0]?.size], ["file", data.byteLength]);
  const got = [];
  for await (const piece of ada.pieces(tree.files[0]?.blob ?? "", data.byteLength)) got.push(piece);
  assert.ok(Buffer.concat(got).equals(data));

  await ada.call({ type: "shutdown" });
  assert.equal(await ada.ended, null);
  await assert.rejects(ada.call({ type: "status" }), { code: "node.stopped" });
  await bob.call({ type: "shutdown" });
  assert.equal(await bob.ended, null);
});

test("people are blocked, and routes are switched off", async () => {
  const [ada, bob] = two();
  const { link } = await ada.call({ type: "invite" });
  const { contact } = await bob.call({ type: "join", link });
  const person = bob.identity.person;
  const stands = async (host: Host, state: string): Promise<void> => {
    for (const end = Date.now() + 60_000; Date.now() < end; ) {
      const { status } = await host.call({ type: "status" });
      if (status.peers.length === 1 && status.peers[0]?.state === state) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.fail(`it does not come to be ${state}`);
  };
  await stands(ada, "inSync");
  await ada.call({ type: "block", person });
  await stands(ada, "blocked");
  assert.deepEqual((await ada.call({ type: "blocked" })).people, [{ person, email: "bob@lama.local" }]);
  await ada.call({ type: "unblock", person });
  assert.deepEqual((await ada.call({ type: "blocked" })).people, []);
  await bob.call({ type: "connect", person: contact.person });
  await stands(ada, "inSync");

  const { routes } = await bob.call({ type: "routes" });
  const [route] = routes;
  assert.ok(route !== undefined && routes.length === 1);
  assert.deepEqual([route.route, route.relayed, route.offBy, route.inUse], ["ws://localhost:1", false, null, true]);
  for (const [by, scope] of [
    ["person", { person: contact.person }],
    ["instance", { instance: route.peer.instance }],
    ["route", { route: route.route }],
  ] as const) {
    await bob.call({ type: "setRoute", ...scope, on: false });
    await stands(bob, "off");
    assert.deepEqual((await bob.call({ type: "routes" })).routes.map(({ offBy }) => offBy), [by]);
    await bob.call({ type: "setRoute", ...scope, on: true });
    await stands(bob, "inSync");
  }
  await assert.rejects(bob.call({ type: "setRoute", on: false } as never), { code: "binding.argument" });
  for (const host of [ada, bob]) await host.call({ type: "shutdown" });
});

test("errors are errors with a stable code", async () => {
  const [ada, bob] = two();
  await assert.rejects(bob.call({ type: "join", link: "https://example.org/" }), (error: unknown) => {
    assert.ok(error instanceof LamaError && error instanceof Error);
    assert.match(error.code, /^invite\.|^link-|no-fragment/);
    assert.ok(error.message.length > 30);
    return true;
  });
  await assert.rejects(ada.call({ type: "send", to: "nobody", text: "x" }), { code: "binding.argument" });
  await assert.rejects(ada.call({ type: "nonsense" } as never), { code: "binding.argument" });
  await assert.rejects(ada.tree("bafyreihtkrqtr36rzuado3wjmtovcs3zjrayptcngomx7xfx25e4ctr3yi"), { code: "blob-missing" });
  const { link } = await ada.call({ type: "invite" });
  await bob.call({ type: "join", link });
  const other = new Host(new Instance(Keys.create("eve@lama.local", "test")), async () => Promise.reject(new DialFailure("refused")), setImmediate);
  await assert.rejects(other.call({ type: "join", link }), { code: "node.not-reached" });
  for (const host of [ada, bob, other]) await host.call({ type: "shutdown" });
});

test("keys are sealed and open again", () => {
  const keys = Keys.create("ada@lama.local", "test");
  const sealed = keys.seal("open sesame");
  assert.ok(Keys.needsPassphrase(sealed));
  assert.deepEqual(Keys.open(sealed, "open sesame").identity(), keys.identity());
  assert.throws(() => Keys.open(sealed), { code: "passphrase_needed" });
  assert.throws(() => Keys.open(sealed, "close sesame"), { code: "locked" });
  assert.throws(() => Keys.create("no address", "test"), LamaError);
});
