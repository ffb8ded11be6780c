// An instance in Node, driven by lines of JSON: commands come in; replies, problems and events go out.

import { createInterface } from "node:readline";

const { listen, open } = await import(`${process.env.LAMA_JS_PACKAGE}/node.js`);
const [directory, email] = process.argv.slice(2);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const me = open(directory, { create: { email, name: "node" } });
me.on((event) => say({ event }));
await listen(me);
say({ identity: me.identity });

/** What one line asks for: a command, a file of that many bytes to share, or the sum of all bytes of a shared one. */
async function answer({ command, share, sum }) {
  if (command !== undefined) return me.call(command);
  if (share !== undefined) {
    const data = new Uint8Array(share.size).map((_, at) => (at * 7) % 251);
    return me.shareFile(share.name, data, share.people);
  }
  const [file] = (await me.tree(sum)).files;
  let total = 0;
  for await (const piece of me.pieces(file.blob, file.size)) for (const byte of piece) total += byte;
  return { size: file.size, total };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  answer(asked).then(
    (reply) => say({ id: asked.id, reply }),
    (error) => say({ id: asked.id, problem: { code: error.code, message: error.message } }),
  );
}
await me.call({ type: "shutdown" });
await me.ended;
process.exit();
