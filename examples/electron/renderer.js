// The window: an instance of its own, as another person. It asks the main process for an invitation, by a message, and
// joins. In Electron `ask` is `ipcRenderer.invoke`, handed over by a preload script.

import { Client } from "/instance/client.js";

export async function connect(ask) {
  const worker = new Worker("/instance/worker.js", { type: "module" });
  const me = await Client.open(worker, { store: "demo", create: { email: "demo@lama.local", name: "renderer" } });
  const { contacts } = await me.call({ type: "contacts" });
  if (contacts.length > 0) return { me, contact: contacts[0] }; // paired before: it reconnects by itself
  const { pairingInvite } = await ask("provision:node");
  const { contact } = await me.call({ type: "join", link: pairingInvite });
  return { me, contact };
}
