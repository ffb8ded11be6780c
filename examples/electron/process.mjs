// Stands in for Electron's main process: a process of its own, whose window is at the other end of its parent's messages.

import { EventEmitter } from "node:events";
import { provision } from "./main.mjs";

const [directory, origin] = process.argv.slice(2);
const window = new EventEmitter();
process.on("message", ({ channel, id }) => window.emit(channel, (value) => process.send({ id, value })));

const me = await provision(window, directory, origin);
me.on((event) => {
  if (event.type !== "message") return;
  process.send({ heard: event.message.text });
  void me.call({ type: "send", to: event.message.author, text: "hello window" });
});
process.on("disconnect", async () => {
  await me.call({ type: "shutdown" });
  await me.ended;
  process.exit();
});
process.send({ ready: true });
