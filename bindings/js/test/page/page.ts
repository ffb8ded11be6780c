/** What runs in Chromium: an instance in a worker, before and after the page was loaded again. */

import { Client } from "../../client.js";
import { LamaError } from "../../platform.js";

interface Given {
  link: string;
  person: string;
  root: string;
}

function worker(): Worker {
  return new Worker(new URL("../../worker.js", import.meta.url), { type: "module" });
}

/** Tells the test how it went. */
async function report(step: string, value: unknown): Promise<void> {
  await fetch(`/report/${step}`, { method: "POST", body: JSON.stringify(value) });
}

async function first(given: Given): Promise<void> {
  const create = { email: "page@lama.local", name: "browser" };
  const me = await Client.open(worker(), { store: "me", create, passphrase: "open sesame" });
  const second = await Client.open(worker(), { store: "me" }).then(
    () => "opened",
    (error: unknown) => (error instanceof LamaError ? error.code : String(error)),
  );
  const { contact } = await me.call({ type: "join", link: given.link });
  await me.call({ type: "send", to: contact.person, text: "hello from the page" });
  let stored = 0;
  const file = new File([new Uint8Array(5_000_000).map((_, at) => at % 251)], "up.bin");
  const made = await me.shareFile(file.name, file, [contact.person], (bytes) => (stored = bytes));
  const tree = await me.tree(given.root).catch(
    () => new Promise<Awaited<ReturnType<Client["tree"]>>>((resolve) => {
      me.on((event) => event.type === "shared" && event.root === given.root && void me.tree(given.root).then(resolve));
    }),
  );
  let [sum, bytes] = [0, 0];
  for await (const piece of me.pieces(tree.files[0]?.blob ?? "", tree.files[0]?.size ?? 0)) {
    bytes += piece.byteLength;
    for (const byte of piece) sum = (sum + byte) % 65_521;
  }
  // Loading the page again ends this worker: not before the other side has all of it.
  for (let standing = ""; standing !== "acknowledged"; ) {
    const told = await me.call({ type: "explain", object: made.root, person: contact.person });
    standing = told.explanation.standing;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const svg = await me.qrSvg("hello");
  sessionStorage.setItem("person", me.identity.person);
  await report("first", { second, email: contact.email, root: made.root, stored, bytes, sum, svg: svg.slice(0, 4) });
  location.reload();
}

async function again(): Promise<void> {
  const wrong = await Client.open(worker(), { store: "me", passphrase: "close sesame", wait: true }).then(
    () => "opened",
    (error: unknown) => (error instanceof LamaError ? error.code : String(error)),
  );
  const me = await Client.open(worker(), { store: "me", passphrase: "open sesame", wait: true });
  const { contacts } = await me.call({ type: "contacts" });
  const { messages } = await me.call({ type: "log", with: contacts[0]?.person ?? "", limit: 10 });
  const same = me.identity.person === sessionStorage.getItem("person");
  await me.call({ type: "shutdown" });
  const ended = await me.ended;
  await report("again", { wrong, same, texts: messages.map(({ text }) => text), ended });
}

const given = JSON.parse(decodeURIComponent(location.hash.slice(1))) as Given;
const step = sessionStorage.getItem("person") === null ? first(given) : again();
step.catch((error: unknown) => report("failed", String(error instanceof Error ? error.stack : error)));
