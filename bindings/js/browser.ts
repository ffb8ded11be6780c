/** An instance in a browser: the platform's WebSocket, dialling only. */

import { DialFailure, Host, type Dialler, type Opened, type Socket } from "./host.js";
import { Instance, type Keys } from "./instance.js";
import init from "./lama.js";

let loaded: Promise<unknown> | undefined;

/** Loads the module, once; `wasm`: from elsewhere than beside this file. */
export async function load(wasm?: URL | Response | BufferSource | WebAssembly.Module): Promise<void> {
  loaded ??= wasm === undefined ? init() : init({ module_or_path: wasm });
  await loaded;
}

/** Starts an instance over a registered file (`opfs.ts`), or in memory. Call `load` first. */
export function start(keys: Keys, file?: number): Host {
  return new Host(new Instance(keys, file), dial, defer);
}

/**
 * Opens a WebSocket. The browser resolves the name and does not say to what, so `loopback` and `private` cannot be
 * checked here beyond what the name says, which the instance has done; a browser's own rules for local networks come
 * on top.
 */
export const dial: Dialler = (request, signal) =>
  new Promise<Opened>((resolve, reject) => {
    let socket: WebSocket;
    try {
      socket = new WebSocket(request.url, request.subprotocol);
    } catch {
      // A page from https may not dial ws.
      reject(new DialFailure("notAllowed"));
      return;
    }
    socket.binaryType = "arraybuffer";
    const fail = (): void => reject(new DialFailure("other"));
    socket.onerror = fail;
    socket.onclose = fail;
    signal.addEventListener("abort", () => {
      socket.close();
      fail();
    });
    socket.onopen = () => {
      if (socket.protocol === request.subprotocol) resolve(opened(socket));
      else {
        socket.close();
        reject(new DialFailure("notLama"));
      }
    };
  });

function opened(socket: WebSocket): Opened {
  const early: (Uint8Array | undefined)[] = [];
  socket.onmessage = ({ data }: MessageEvent<unknown>) => early.push(binary(data));
  const wrapped: Socket = {
    send: (frame) => socket.send(frame as Uint8Array<ArrayBuffer>),
    close: () => socket.close(1000),
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
  };
  return {
    socket: wrapped,
    attach(events) {
      for (const frame of early) events.message(frame);
      socket.onmessage = ({ data }: MessageEvent<unknown>) => events.message(binary(data));
      socket.onerror = null;
      socket.onclose = ({ wasClean }) => events.closed(wasClean ? "closed" : "lost");
      if (socket.readyState === WebSocket.CLOSED) events.closed("lost");
    },
  };
}

function binary(data: unknown): Uint8Array | undefined {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : undefined;
}

const channel = new MessageChannel();
const turns: (() => void)[] = [];
channel.port1.onmessage = () => turns.shift()?.();

/** A turn of its own, without the delay that browsers put on timers. */
function defer(turn: () => void): void {
  turns.push(turn);
  channel.port2.postMessage(null);
}
