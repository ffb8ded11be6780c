/**
 * The loop around one instance: frames in, timers, outputs, frames out while the link has room, then sleep.
 * It knows no platform: sockets come from `browser.ts` or `node.ts`.
 */

import type { Instance } from "./instance.js";
import { LamaError } from "./platform.js";
import type {
  Command,
  Content,
  Dial,
  DialCause,
  Identity,
  LamaEvent,
  LinkCause,
  Made,
  Output,
  Problem,
  ReplyTo,
  Tree,
} from "./types.js";

/** An open WebSocket. */
export interface Socket {
  /** One binary message. */
  send(frame: Uint8Array): void;
  /** With code 1000 and no reason. */
  close(): void;
  /** Bytes that were sent and are not on their way yet. */
  readonly bufferedAmount: number;
  /** Stops reading, where the platform can: what arrives then waits at the sender. */
  pause?(): void;
  resume?(): void;
  /** Longer messages than this are not taken from now on, where the platform can say so. */
  limit?(bytes: number): void;
}

/** What a socket tells its host, once it is open. */
export interface SocketEvents {
  /** A binary message; `undefined`: one that was not binary. */
  message(frame: Uint8Array | undefined): void;
  closed(cause: LinkCause): void;
  /** Something that was sent is on its way. */
  drained(): void;
}

/** Opens a WebSocket; `signal` ends the attempt. Rejects with a `DialFailure`. */
export type Dialler = (dial: Dial, signal: AbortSignal) => Promise<Opened>;

/** A socket that waits for whoever listens to it. */
export interface Opened {
  socket: Socket;
  /** What only the two ends of its TLS connection know (RFC 8446 section 7.5, label `EXPORTER-LAMA-relay`), if it has one. */
  exporter?: Uint8Array;
  attach(events: SocketEvents): void;
}

export class DialFailure extends Error {
  constructor(readonly reason: DialCause) {
    super(reason);
  }
}

/** Bytes in a socket's buffer above which nothing more is sent. */
const HIGH_WATER = 1 << 20;
/** How long until a full socket is looked at again, in milliseconds. */
const LOOK_AGAIN = 5;
/** Frames in and frames out in one turn, so that timers and other links have theirs. */
const FRAMES = 64;
/** How long a dial may take, and a goodbye, in milliseconds. */
const DIAL_DEADLINE = 10_000;
const LINGER = 2_000;
/** Frames that wait for the instance; beyond that the other side does not keep to the protocol's credit. */
const MAX_WAITING = 4096;
/** How much of a file is read at once, in bytes. */
const PIECE = 1 << 20;

interface Link {
  socket: Socket;
  /** Frames that arrived and were not taken yet. */
  inbox: Uint8Array[];
  paused: boolean;
  /** It may have frames to send. */
  ready: boolean;
  /** `open`; `goodbye`: what is left is sent, then it is closed; `lingering`: the other end closes too. */
  stage: "open" | "goodbye" | "lingering";
  timer?: ReturnType<typeof setTimeout>;
}

interface Waiting {
  resolve(reply: object): void;
  reject(error: LamaError): void;
}

/** Bytes to be stored: what fits into memory, or a file that is read piece by piece. */
export type Data = Uint8Array | Blob | AsyncIterable<Uint8Array>;

/** What applications use: the same for an instance in this thread (`Host`) and for one in a worker (`client.ts`). */
export interface Api {
  readonly identity: Identity;
  /** Asks, and waits for the answer. Rejects with a `LamaError`. */
  call<C extends Command>(command: C): Promise<ReplyTo<C>>;
  /** Hears everything that happens; the answer ends it. */
  on(listener: (event: LamaEvent) => void): () => void;
  /** Stores a file's content. `progress` hears how many bytes are stored. */
  store(data: Data, progress?: (bytes: number) => void): Promise<Content>;
  /** Stores a file and shares it, with a message that points to it. */
  shareFile(name: string, data: Data, people: string[], progress?: (bytes: number) => void): Promise<Made>;
  /** Stores files under one name and shares them as a folder. */
  shareFolder(name: string, files: { path: string; data: Data }[], people: string[]): Promise<Made>;
  /** What is in a shared file or folder. */
  tree(root: string): Promise<Tree>;
  /** Bytes of a file's content, at most 16 MiB. */
  read(blob: string, start: number, length: number): Promise<Uint8Array>;
  /** All bytes of a file's content, piece by piece. */
  pieces(blob: string, size: number): AsyncGenerator<Uint8Array>;
  /** Resolves when it is over: the store is closed. `null`: it was shut down. */
  readonly ended: Promise<Problem | null>;
}

export class Host implements Api {
  readonly ended: Promise<Problem | null>;
  private end!: (problem: Problem | null) => void;
  private over = false;
  private readonly links = new Map<number, Link>();
  private readonly dials = new Set<AbortController>();
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners = new Set<(event: LamaEvent) => void>();
  private nextLink = 0;
  private nextTicket = 0;
  private queued = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly instance: Instance,
    private readonly dialler: Dialler,
    private readonly defer: (turn: () => void) => void,
  ) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    this.wake();
  }

  get identity(): Identity {
    return this.instance.identity;
  }

  call<C extends Command>(command: C): Promise<ReplyTo<C>> {
    return new Promise<ReplyTo<C>>((resolve, reject) => {
      const ticket = this.nextTicket++;
      this.waiting.set(ticket, { resolve: (reply) => resolve(reply as ReplyTo<C>), reject });
      if (!this.guard(() => this.instance.command(ticket, command), reject)) this.waiting.delete(ticket);
    });
  }

  on(listener: (event: LamaEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async store(data: Data, progress?: (bytes: number) => void): Promise<Content> {
    const number = this.instance.beginBlob();
    let bytes = 0;
    try {
      for await (const piece of piecesOf(data)) {
        this.instance.pushBlob(number, piece);
        progress?.((bytes += piece.byteLength));
        this.wake();
        // The others have their turn between two pieces.
        await new Promise<void>((resolve) => this.defer(resolve));
      }
      return this.instance.finishBlob(number);
    } catch (error) {
      this.instance.dropBlob(number);
      throw error;
    } finally {
      this.wake();
    }
  }

  async shareFile(
    name: string,
    data: Data,
    people: string[],
    progress?: (bytes: number) => void,
  ): Promise<Made> {
    const content = await this.store(data, progress);
    const made = this.instance.makeFile(name, content);
    await this.call({ type: "share", root: made.root, with: people, note: `shared ${name}` });
    return made;
  }

  async shareFolder(name: string, files: { path: string; data: Data }[], people: string[]): Promise<Made> {
    const entries = [];
    for (const { path, data } of files) entries.push({ path, ...(await this.store(data)) });
    const made = this.instance.makeFolder(name, entries);
    const count = entries.length === 1 ? "1 file" : `${entries.length} files`;
    await this.call({ type: "share", root: made.root, with: people, note: `shared folder ${name} with ${count}` });
    return made;
  }

  async tree(root: string): Promise<Tree> {
    return this.instance.tree(root);
  }

  async read(blob: string, start: number, length: number): Promise<Uint8Array> {
    return this.instance.read(blob, start, length);
  }

  async *pieces(blob: string, size: number): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < size; start += PIECE) yield await this.read(blob, start, PIECE);
  }

  /** Where others reach this instance; a host with a listener calls it. */
  listening(urls: string[]): void {
    this.guard(() => this.instance.listening(urls));
  }

  /** Somebody connected from this address. */
  accept(opened: Opened, address: string): void {
    this.attach(opened, (link) => this.instance.linkAccepted(link, address));
  }

  /** Runs a call into the instance, and then the loop. An error of the module itself ends the instance. */
  private guard(use: () => void, failed?: (error: LamaError) => void): boolean {
    if (this.over) {
      failed?.(new LamaError("node.stopped", "the instance has ended; open it again"));
      return false;
    }
    try {
      use();
      this.wake();
      return true;
    } catch (error) {
      if (error instanceof LamaError && failed !== undefined) failed(error);
      else this.crashed(error);
      return false;
    }
  }

  private wake(): void {
    if (this.queued || this.over) return;
    this.queued = true;
    this.defer(() => {
      this.queued = false;
      if (this.over) return;
      try {
        this.turn();
      } catch (error) {
        this.crashed(error);
      }
    });
  }

  private crashed(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.finish({ code: "binding.crashed", message: `the instance stopped working (${text}); open it again` });
  }

  private turn(): void {
    let more = false;
    for (const [id, link] of this.links) more = this.takeFrames(id, link) || more;
    if (this.instance.timeout() === 0) this.instance.handleTimeout();
    for (let output = this.instance.poll(); output !== undefined; output = this.instance.poll()) {
      this.heed(output);
      if (this.over) return;
    }
    for (let id = this.instance.nextReadyLink(); id !== undefined; id = this.instance.nextReadyLink()) {
      const link = this.links.get(id);
      if (link !== undefined) link.ready = true;
    }
    let full = false;
    for (const [id, link] of this.links) {
      const sent = this.sendFrames(id, link);
      more = sent === "more" || more;
      full = sent === "full" || full;
    }
    if (more) this.wake();
    else this.sleep(full);
  }

  /** Whether there is more to take. */
  private takeFrames(id: number, link: Link): boolean {
    let taken = 0;
    while (link.inbox.length > 0 && taken < FRAMES && this.instance.wantsInput(id)) {
      const frame = link.inbox.shift() as Uint8Array;
      if (frame.byteLength > this.instance.frameLimit(id)) {
        this.down(id, "violation");
        return true;
      }
      this.instance.frame(id, frame);
      taken += 1;
    }
    link.socket.limit?.(this.instance.frameLimit(id));
    const wants = link.inbox.length < FRAMES;
    if (link.paused === wants) {
      link.paused = !wants;
      if (wants) link.socket.resume?.();
      else link.socket.pause?.();
    }
    return link.inbox.length > 0;
  }

  private sendFrames(id: number, link: Link): "all" | "more" | "full" {
    if (!link.ready || link.stage === "lingering") return "all";
    for (let sent = 0; sent < FRAMES; sent += 1) {
      if (link.socket.bufferedAmount > HIGH_WATER) return "full";
      const frame = this.instance.pollFrame(id);
      if (frame === undefined) {
        link.ready = false;
        if (link.stage === "goodbye") this.linger(id, link);
        return "all";
      }
      link.socket.send(frame);
    }
    return "more";
  }

  private sleep(full: boolean): void {
    clearTimeout(this.timer);
    let wait = this.instance.timeout();
    // A browser does not tell when a full socket has room again.
    if (full) wait = Math.min(wait ?? LOOK_AGAIN, LOOK_AGAIN);
    if (wait === undefined) this.timer = undefined;
    else this.timer = setTimeout(() => this.wake(), Math.min(Math.ceil(wait), 0x7fffffff));
  }

  private heed(output: Output): void {
    switch (output.type) {
      case "dial":
        void this.dial(output);
        break;
      case "close": {
        const link = this.links.get(output.link);
        if (link !== undefined && link.stage === "open") {
          link.stage = "goodbye";
          link.ready = true;
        }
        break;
      }
      case "reply":
        this.waiting.get(output.ticket)?.resolve(output.reply);
        this.waiting.delete(output.ticket);
        break;
      case "failed":
        this.waiting.get(output.ticket)?.reject(new LamaError(output.problem.code, output.problem.message));
        this.waiting.delete(output.ticket);
        break;
      case "event":
        for (const listener of [...this.listeners]) {
          // A listener's mistake is its own: it is told to whoever looks, and the loop goes on.
          try {
            listener(output.event);
          } catch (error) {
            queueMicrotask(() => {
              throw error;
            });
          }
        }
        break;
      case "ended":
        this.finish(output.problem);
        break;
    }
  }

  private async dial(dial: Dial): Promise<void> {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), DIAL_DEADLINE);
    this.dials.add(control);
    try {
      const opened = await this.dialler(dial, control.signal);
      if (this.over) opened.socket.close();
      else this.attach(opened, (link) => this.instance.linkDialled(link, dial.dial, opened.exporter));
    } catch (error) {
      const cause = control.signal.aborted ? "timeout" : error instanceof DialFailure ? error.reason : "other";
      this.guard(() => this.instance.dialFailed(dial.dial, cause));
    } finally {
      clearTimeout(timer);
      this.dials.delete(control);
    }
  }

  private attach(opened: Opened, up: (link: number) => void): void {
    const id = this.nextLink++;
    const link: Link = { socket: opened.socket, inbox: [], paused: false, ready: false, stage: "open" };
    this.links.set(id, link);
    this.guard(() => up(id));
    opened.attach({
      message: (frame) => {
        if (link.stage !== "open" || !this.links.has(id)) return;
        if (frame === undefined || link.inbox.length >= MAX_WAITING) {
          this.guard(() => this.down(id, "violation"));
          return;
        }
        link.inbox.push(frame);
        this.wake();
      },
      closed: (cause) => this.guard(() => this.closed(id, cause)),
      drained: () => {
        if (link.ready) this.wake();
      },
    });
  }

  /** The socket is gone: what arrived before is taken first, as far as it goes. */
  private closed(id: number, cause: LinkCause): void {
    const link = this.links.get(id);
    if (link === undefined) return;
    while (link.stage === "open" && link.inbox.length > 0 && this.links.has(id)) {
      if (this.takeFrames(id, link) && !this.instance.wantsInput(id)) break;
    }
    this.down(id, link.stage === "open" ? cause : "local");
  }

  /** Closes the socket and forgets the link. */
  private down(id: number, cause: LinkCause): void {
    const link = this.links.get(id);
    if (link === undefined) return;
    this.links.delete(id);
    clearTimeout(link.timer);
    link.socket.close();
    this.instance.linkDown(id, cause);
  }

  private linger(id: number, link: Link): void {
    link.stage = "lingering";
    link.socket.close();
    link.timer = setTimeout(() => this.guard(() => this.down(id, "local")), LINGER);
  }

  private finish(problem: Problem | null): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    for (const control of this.dials) control.abort();
    for (const link of this.links.values()) {
      clearTimeout(link.timer);
      link.socket.close();
    }
    this.links.clear();
    for (const waiting of this.waiting.values()) {
      waiting.reject(new LamaError(problem?.code ?? "node.stopped", problem?.message ?? "the instance has ended"));
    }
    this.waiting.clear();
    this.end(problem);
  }
}

async function* piecesOf(data: Data): AsyncGenerator<Uint8Array> {
  if (data instanceof Uint8Array) {
    for (let at = 0; at < data.byteLength; at += PIECE) yield data.subarray(at, at + PIECE);
  } else if (data instanceof Blob) {
    for (let at = 0; at < data.size; at += PIECE) {
      yield new Uint8Array(await data.slice(at, at + PIECE).arrayBuffer());
    }
  } else {
    yield* data;
  }
}
