// Two instances in Node: Ada invites, Bob joins over a WebSocket, writes, and shares a file.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen, open } from "@lama/instance/node";

const place = mkdtempSync(join(tmpdir(), "lama-example-"));
const ada = open(join(place, "ada"), { create: { email: "ada@example.org", name: "example" } });
const bob = open(join(place, "bob"), { create: { email: "bob@example.org", name: "example" } });

/** The next event of that type. */
const next = (host, type) =>
  new Promise((resolve) => {
    const stop = host.on((event) => {
      if (event.type !== type) return;
      stop();
      resolve(event);
    });
  });

await listen(ada);
const { link } = await ada.call({ type: "invite" }); // a secret: whoever has it pairs, once
const { contact } = await bob.call({ type: "join", link });
console.log(`Bob: ${contact.email} is a contact, check code ${contact.checkCode}`);

const message = next(ada, "message");
await bob.call({ type: "send", to: contact.person, text: "hello Ada" });
console.log("Ada: Bob says", (await message).message.text);

const shared = next(ada, "shared");
await bob.shareFile("notes.txt", new TextEncoder().encode("see you at eight"), [contact.person]);
const [file] = (await ada.tree((await shared).root)).files;
console.log(`Ada: ${file.path} holds`, new TextDecoder().decode(await ada.read(file.blob, 0, file.size)));

for (const host of [bob, ada]) {
  await host.call({ type: "shutdown" });
  await host.ended;
}
rmSync(place, { recursive: true });
