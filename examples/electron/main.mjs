// The main process of a desktop program: an instance with its store on disk. It gives an invitation to its window by a
// message, as soon as that asks; both pair, each as a person of its own, and from then on everything goes over the
// session. What runs here is Node; in Electron `window` is `ipcMain`, and the origin is that of the window's page.

import { listen, open } from "@lama/instance/node";

/** `window`: an emitter with `reply`, by which messages of the window arrive and are answered. */
export async function provision(window, directory, origin) {
  const me = open(directory, { create: { email: "node-demo@lama.local", name: "main" } });
  await listen(me, 0, [origin]); // no page of another origin may connect
  window.on("provision:node", async (reply) => {
    const { link } = await me.call({ type: "invite" });
    reply({ pairingInvite: link });
  });
  return me;
}
