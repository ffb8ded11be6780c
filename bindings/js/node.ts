/** An instance in Node: WebSockets by `ws`, both dialled and accepted, and a store in a file. */

import { lookup } from "node:dns/promises";
import * as fs from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { BlockList, isIP } from "node:net";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { WebSocket, WebSocketServer, type RawData } from "ws";

import { DialFailure, Host, type Dialler, type Opened } from "./host.js";
import { Instance, Keys } from "./instance.js";
import { initSync } from "./lama.js";
import { LamaError, register, unregister, type SyncFile } from "./platform.js";
import type { Dial, DialCause } from "./types.js";

export * from "./index.js";

let loaded = false;

/** Loads the module, once. */
export function load(): void {
  if (loaded) return;
  initSync({ module: fs.readFileSync(new URL("./lama_bg.wasm", import.meta.url)) });
  loaded = true;
}

/** The longest message of the protocol. */
const MAX_MESSAGE = 65_535;
const PATH = "/";
/** How many may knock at a time. */
const MAX_KNOCKING = 256;

/** Starts an instance with its store in a file, or in memory. Call `load` first; the file is closed when it ends. */
export function start(keys: Keys, storePath?: string): Host {
  load();
  const file = storePath === undefined ? undefined : register(openFile(storePath));
  let host: Host;
  try {
    host = new Host(new Instance(keys, file), dial, setImmediate);
  } catch (error) {
    if (file !== undefined) unregister(file);
    throw error;
  }
  if (file !== undefined) void host.ended.then(() => unregister(file));
  return host;
}

/** Which instance `open` opens. */
export interface Open {
  /** Who it is, if it is not there yet. */
  create?: { email: string; name: string };
  /** What its keys are locked by. Without one whoever reads the directory has the keys. */
  passphrase?: string;
}

/** Opens the instance in this directory; the first time it makes one, with its keys in `keys.lama`. */
export function open(directory: string, options: Open = {}): Host {
  load();
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const keyFile = join(directory, "keys.lama");
  let keys: Keys;
  if (fs.existsSync(keyFile)) keys = Keys.open(fs.readFileSync(keyFile), options.passphrase);
  else if (options.create === undefined) {
    throw new LamaError("binding.no-keys", `there is no instance in ${directory} yet; give an e-mail address to make one`);
  } else {
    keys = Keys.create(options.create.email, options.create.name);
    replace(keyFile, keys.seal(options.passphrase));
  }
  return start(keys, join(directory, "store.redb"));
}

/** Durable under its name, or not there at all. */
function replace(path: string, bytes: Uint8Array): void {
  const fresh = `${path}.new`;
  const fd = fs.openSync(fresh, "w", 0o600);
  fs.writeSync(fd, bytes);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
  fs.renameSync(fresh, path);
}

/**
 * A file for a store: readable by its owner alone. One process at a time: a lock file beside it names the owner.
 */
export function openFile(path: string): SyncFile {
  const lock = `${path}.lock`;
  takeLock(lock);
  const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  return {
    getSize: () => fs.fstatSync(fd).size,
    read: (into, { at }) => whole(into.byteLength, (done) => fs.readSync(fd, into, done, into.byteLength - done, at + done)),
    write: (bytes, { at }) =>
      whole(bytes.byteLength, (done) => fs.writeSync(fd, bytes, done, bytes.byteLength - done, at + done)),
    truncate: (size) => fs.ftruncateSync(fd, size),
    flush: () => fs.fdatasyncSync(fd),
    close: () => {
      fs.closeSync(fd);
      fs.rmSync(lock, { force: true });
    },
  };
}

/** The system may move less than asked for. */
function whole(wanted: number, move: (done: number) => number): number {
  let done = 0;
  while (done < wanted) {
    const moved = move(done);
    if (moved === 0) break;
    done += moved;
  }
  return done;
}

function takeLock(lock: string): void {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      fs.writeFileSync(lock, String(process.pid), { flag: "wx", mode: 0o600 });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const owner = Number(fs.readFileSync(lock, "utf8"));
    if (owner === process.pid || isAlive(owner)) break;
    fs.rmSync(lock, { force: true });
  }
  throw new LamaError("store-locked", "another process, or this one, works with that store; stop it, or name another file");
}

function isAlive(pid: number): boolean {
  try {
    return Number.isInteger(pid) && pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");
const PRIVATE = new BlockList();
for (const [net, bits] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
  ["100.64.0.0", 10],
] as const)
  PRIVATE.addSubnet(net, bits, "ipv4");
for (const [net, bits] of [
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
] as const)
  PRIVATE.addSubnet(net, bits, "ipv6");
const NEVER = new BlockList();
NEVER.addSubnet("0.0.0.0", 8, "ipv4");
NEVER.addSubnet("224.0.0.0", 3, "ipv4");
NEVER.addSubnet("::", 96, "ipv6");
NEVER.addSubnet("ff00::", 8, "ipv6");
/** Addresses of the other family in disguise; they are not dialled at all. */
NEVER.addSubnet("2002::", 16, "ipv6");
NEVER.addSubnet("64:ff9b::", 96, "ipv6");

/** Whether the dial allows this address: every one that a name resolves to is asked about. */
export function isAllowed(address: string, request: Pick<Dial, "loopback" | "private">): boolean {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (LOOPBACK.check(address, family)) return request.loopback;
  if (NEVER.check(address, family)) return false;
  return request.private || !PRIVATE.check(address, family);
}

/** Where the host is; `localhost` is never looked up: it is this machine, whatever a resolver thinks. */
async function addressOf(host: string, request: Dial): Promise<string[]> {
  const bare = host.replace(/^\[|\]$/g, "");
  let found: string[];
  if (isIP(bare) !== 0) found = [bare];
  else if (/(^|\.)localhost$/i.test(bare)) found = ["127.0.0.1", "::1"];
  else {
    found = await lookup(bare, { all: true }).then(
      (all) => all.map(({ address }) => address),
      () => {
        throw new DialFailure("notFound");
      },
    );
  }
  const allowed = found.filter((address) => isAllowed(address, request));
  if (allowed.length === 0) throw new DialFailure("notAllowed");
  return allowed;
}

/** Opens a WebSocket to the first address that is allowed and answers. */
export const dial: Dialler = async (request, signal) => {
  let last: unknown = new DialFailure("notFound");
  for (const address of await addressOf(new URL(request.url).hostname, request)) {
    try {
      return await connect(request, address, signal);
    } catch (error) {
      last = error;
    }
  }
  throw last;
};

function connect(request: Dial, address: string, signal: AbortSignal): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(request.url, request.subprotocol, {
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: MAX_MESSAGE,
      // The address that was checked is the one that is dialled.
      lookup: (_host, options, done) => {
        const family = isIP(address);
        if (options.all === true) (done as (e: null, all: object[]) => void)(null, [{ address, family }]);
        else (done as (e: null, address: string, family: number) => void)(null, address, family);
      },
    });
    const waiting = opened(socket);
    socket.once("upgrade", ({ socket: under }) => {
      if (!(under instanceof TLSSocket)) return;
      // Without a context, which the types do not know to be possible.
      const exported = under.exportKeyingMaterial as (length: number, label: string) => Buffer;
      waiting.exporter = exported.call(under, 32, "EXPORTER-LAMA-relay");
    });
    socket.once("open", () => resolve(waiting));
    socket.once("error", (error: NodeJS.ErrnoException) => reject(new DialFailure(causeOf(error))));
    socket.once("unexpected-response", () => {
      socket.terminate();
      reject(new DialFailure("notLama"));
    });
    signal.addEventListener("abort", () => {
      socket.terminate();
      reject(new DialFailure("timeout"));
    });
  });
}

function causeOf(error: NodeJS.ErrnoException): DialCause {
  switch (error.code) {
    case "ECONNREFUSED":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
    case "ENOTFOUND":
      return "notFound";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
      return "unreachable";
    case "CERT_HAS_EXPIRED":
      return "expired";
    case "CERT_NOT_YET_VALID":
      return "notYetValid";
    case "CERT_REVOKED":
      return "revoked";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "wrongName";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return "unknownIssuer";
    default:
      if (/CERT|TLS|SSL/.test(error.code ?? "")) return "tls";
      return /subprotocol|Unexpected server response|Invalid/.test(error.message) ? "notLama" : "other";
  }
}

/** A socket; what arrives before somebody listens is kept. */
function opened(socket: WebSocket): Opened {
  const early: (Uint8Array | undefined)[] = [];
  let gone = false;
  const keep = (data: RawData, isBinary: boolean): void => void early.push(bytesOf(data, isBinary));
  socket.on("message", keep);
  socket.on("close", () => (gone = true));
  // What broke is told by `close`.
  socket.on("error", () => {});
  let drained = (): void => {};
  return {
    socket: {
      send: (frame) => socket.send(frame, { binary: true }, () => drained()),
      close: () => socket.close(1000),
      get bufferedAmount() {
        return socket.bufferedAmount;
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    },
    attach(events) {
      drained = events.drained;
      for (const frame of early) events.message(frame);
      socket.off("message", keep);
      socket.on("message", (data: RawData, isBinary: boolean) => events.message(bytesOf(data, isBinary)));
      // 1006: without a closing handshake; 1009: a message that is too long.
      socket.on("close", (code) => events.closed(code === 1006 ? "lost" : code === 1009 ? "violation" : "closed"));
      if (gone) events.closed("lost");
    },
  };
}

function bytesOf(data: RawData, isBinary: boolean): Uint8Array | undefined {
  return isBinary && data instanceof Uint8Array ? data : undefined;
}

/** A listener, on this machine's own addresses. */
export interface Listener {
  url: string;
  port: number;
  close(): Promise<void>;
}

/**
 * Listens on a port (0: a free one) and says so to the contacts. Pages of browsers are let in from these origins alone,
 * such as `http://localhost:8080`; a page of any other site is refused.
 */
export async function listen(host: Host, port = 0, origins: string[] = []): Promise<Listener> {
  const http = createServer((_request, response) => void response.writeHead(404).end());
  const server = new WebSocketServer({
    server: http,
    path: PATH,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: false,
    // A page of any site may try to connect to this machine; what names no origin is no browser.
    verifyClient: ({ req }: { req: IncomingMessage }) =>
      (req.headers.origin === undefined || origins.includes(req.headers.origin)) &&
      asks(req.headers["sec-websocket-protocol"]),
    handleProtocols: (offered) => (offered.has("lama.1") ? "lama.1" : false),
  });
  http.maxConnections = MAX_KNOCKING * 4;
  server.on("connection", (socket, request) => {
    if (server.clients.size > http.maxConnections) socket.terminate();
    else host.accept(opened(socket), request.socket.remoteAddress ?? "");
  });
  const bound = await bind(http, port);
  const url = `ws://localhost:${bound}`;
  host.listening([url]);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close();
      for (const client of server.clients) client.terminate();
      http.close(() => resolve());
    });
  void host.ended.then(close);
  return { url, port: bound, close };
}

function asks(header: string | undefined): boolean {
  return (header ?? "").split(",").some((name) => name.trim() === "lama.1");
}

function bind(http: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    http.once("error", reject);
    http.listen({ port, host: "127.0.0.1" }, () => {
      const address = http.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
