/**
 * A whole instance in a dedicated worker: this file is the worker's script, `client.ts` is the page's side.
 * The page starts it with `new Worker(new URL("./worker.js", import.meta.url), { type: "module" })`.
 */

import { load, start } from "./browser.js";
import type { Host } from "./host.js";
import { Keys, lookAtInvitation, qrSvg } from "./instance.js";
import { openStore, readSmall, writeSmall } from "./opfs.js";
import { LamaError } from "./platform.js";
import type { Answer, Open, Request } from "./protocol.js";
import type { Identity } from "./types.js";

/** What a dedicated worker is, as far as this file needs it. */
interface Scope {
  postMessage(message: Answer, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
}
const scope = self as unknown as Scope;

let host: Host | undefined;

/** Opens the store and the keys of that name; the first time it makes them. */
async function open(options: Open): Promise<Identity> {
  if (host !== undefined) throw new LamaError("binding.open", "this worker has an instance already");
  await load(options.wasm === undefined ? undefined : new URL(options.wasm, location.href));
  if (options.store === undefined) {
    if (options.create === undefined) throw noKeys();
    return run(Keys.create(options.create.email, options.create.name)).identity;
  }
  const store = await openStore(options.store, options.wait);
  try {
    const keyFile = `${options.store}.keys`;
    const found = await readSmall(keyFile);
    let keys: Keys;
    if (found !== undefined && found.byteLength > 0) keys = Keys.open(found, options.passphrase);
    else if (options.create === undefined) throw noKeys();
    else {
      keys = Keys.create(options.create.email, options.create.name);
      // The keys are there before anything is written under them.
      await writeSmall(keyFile, keys.seal(options.passphrase));
    }
    const started = run(keys, store.file);
    void started.ended.then(() => store.close());
    return started.identity;
  } catch (error) {
    store.close();
    throw error;
  }
}

function noKeys(): LamaError {
  return new LamaError("binding.no-keys", "there is no instance of that name yet; give an e-mail address to make one");
}

function run(keys: Keys, file?: number): Host {
  const started = start(keys, file);
  host = started;
  started.on((event) => scope.postMessage({ event }));
  void started.ended.then((problem) => scope.postMessage({ ended: problem }));
  return started;
}

async function answer(request: Request): Promise<unknown> {
  if (request.method === "open") return open(request.options);
  if (request.method === "qrSvg") return qrSvg(request.text, request.module);
  if (request.method === "lookAtInvitation") return lookAtInvitation(request.link);
  if (host === undefined) throw new LamaError("binding.closed", "no instance is open in this worker; open one");
  const progress = (bytes: number): void => scope.postMessage({ progress: request.id, bytes });
  switch (request.method) {
    case "call":
      return host.call(request.command);
    case "store":
      return host.store(request.data, progress);
    case "shareFile":
      return host.shareFile(request.name, request.data, request.people, progress);
    case "shareFolder":
      return host.shareFolder(request.name, request.files, request.people);
    case "tree":
      return host.tree(request.root);
    case "read":
      return host.read(request.blob, request.start, request.length);
  }
}

scope.onmessage = ({ data: request }) => {
  answer(request).then(
    (value) => scope.postMessage({ id: request.id, value }, value instanceof Uint8Array ? [value.buffer] : []),
    (error: unknown) => {
      const code = error instanceof LamaError ? error.code : "binding.internal";
      const message = error instanceof Error ? error.message : String(error);
      scope.postMessage({ id: request.id, problem: { code, message } });
    },
  );
};
