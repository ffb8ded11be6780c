/**
 * Sessions without a node and without a store: invitation, handshake and encrypted messages between two instances, in a
 * module of a quarter of the size. Contacts, spent invitations and data are the program's own to keep.
 */

import init, { RawKeys, RawSessions, initSync, lookAtInvitation as look, qrSvg as qr } from "./lama.js";
import { Secrets } from "../secrets.js";
import type { Identity } from "../types.js";

export { LamaError } from "../platform.js";
export type { Identity } from "../types.js";

/** Loads the module, from beside this script or from its bytes (in Node: `readFileSync` of `lama_bg.wasm`). */
export async function load(bytes?: BufferSource): Promise<void> {
  if (bytes === undefined) await init();
  else initSync({ module: bytes });
}

/** What is kept of a peer: by this it is dialled, and known when it comes. No secret. */
export interface KnownPeer {
  person: string;
  email: string;
  /** The SHA-256 of the person's signing key. */
  pin: string;
  /** The instance's key for connections. */
  key: string;
  instance: string;
  name: string;
  /** Where it says it can be dialled; empty: nowhere. */
  url: string;
  /** Where the person's log ended. Keep it anew after each handshake: whoever shows an older one is refused. */
  head: { seq: number; hash: string };
}

/** The link is a secret: whoever has it first pairs. Keep it, with its locator, until it expires. */
export interface MadeInvitation {
  link: string;
  locator: string;
  expires: number;
}

/**
 * What happened on a link. The first three are questions, and the handshake waits for the answer. `closed` or `failed` is the
 * last step of a link: send what `pollFrame` still has, then close the socket.
 */
export type SessionStep = { link: number } & (
  | { type: "asked"; locator: string }
  | { type: "proved"; key: string }
  /** `checkCode`: for whoever joins, since under `confirm` the other side is asked about it before it goes on. */
  | { type: "verified"; peer: KnownPeer; pairing: boolean; locator: string | null; checkCode: string | null }
  | { type: "open"; checkCode: string | null }
  | { type: "message"; stream: number; message: Uint8Array }
  | { type: "closed"; code: string; message: string }
  | { type: "failed"; code: string; message: string }
);

/** The secrets of an instance, in the same key file as everywhere. */
export class Keys extends Secrets<RawKeys> {
  static create(email: string, name: string): Keys {
    return new Keys(RawKeys.create(email, name, Date.now()));
  }

  /** Opens a key file made by `seal`, by a whole instance, or by the `lama` program. */
  static open(file: Uint8Array, passphrase?: string): Keys {
    return new Keys(RawKeys.open(file, passphrase));
  }

  static needsPassphrase(file: Uint8Array): boolean {
    return RawKeys.needsPassphrase(file);
  }
}

const mono = (): number => performance.now();
const wall = (): number => Date.now();

/** All sessions of one instance. Links have numbers of the program's choice; each is one WebSocket with the subprotocol `lama.1`. */
export class Sessions {
  private readonly raw: RawSessions;
  readonly identity: Identity;

  constructor(keys: Keys) {
    this.identity = keys.identity();
    this.raw = RawSessions.open(keys.take());
  }

  /** Where this instance can be dialled, for those to whom it introduces itself from now on. */
  listening(url: string): void {
    this.raw.listening(url);
  }

  /** Makes an invitation that leads to these addresses, good for so many milliseconds, or for 15 minutes. */
  invite(urls: string[], lifetime?: number): MadeInvitation {
    return JSON.parse(this.raw.invite(urls, lifetime, mono(), wall())) as MadeInvitation;
  }

  /** Begins by an invitation, on a link that is now to be opened to one of these addresses. */
  join(link: number, invitation: string, lan = false): string[] {
    return this.raw.join(link, invitation, lan, mono(), wall());
  }

  /** Begins with a peer that is known, on a link that is to be opened to its address. */
  dial(link: number, peer: KnownPeer): void {
    this.raw.dial(link, JSON.stringify(peer));
  }

  /** Begins on a link that somebody opened. */
  accept(link: number): void {
    this.raw.accept(link, mono(), wall());
  }

  /**
   * The answer to `asked`: the invitation with that locator until it expires, and the key of the peer who has spent it, if
   * somebody has: he may have been cut off and comes again. Anybody else is refused.
   */
  answer(link: number, invitation?: string, spentBy?: string): void {
    this.raw.answer(link, invitation, spentBy, mono(), wall());
  }

  /** The answer to `proved`: the peer with that key, or nobody. */
  expect(link: number, peer?: KnownPeer): void {
    this.raw.expect(link, peer && JSON.stringify(peer), mono(), wall());
  }

  /**
   * The answer to `verified`: the peer is stored, and that its key has spent the invitation, in one durable step. In a pairing the
   * person's id proves nothing, since it follows from the e-mail address: whoever keeps that person with another `pin` refuses.
   */
  proceed(link: number): void {
    this.raw.proceed(link, mono(), wall());
  }

  /** The other answer to it: that person is not wanted, and learns why; `person`: he is known by another key. */
  refuse(link: number, reason: "blocked" | "denied" | "busy" | "token" | "person"): void {
    this.raw.refuse(link, reason);
  }

  frame(link: number, frame: Uint8Array): void {
    this.raw.frame(link, frame, mono(), wall());
  }

  /** Queues a message on a stream, 0 to 3, the lower the more urgent. */
  send(link: number, stream: number, message: Uint8Array): void {
    this.raw.send(link, stream, message);
  }

  /** Bytes of messages that wait to be sent, and a few more for each. */
  queued(link: number): number {
    return this.raw.queued(link);
  }

  /** The next frame of a link, only while that has room: what was made must be sent. */
  pollFrame(link: number): Uint8Array | undefined {
    return this.raw.pollFrame(link, mono(), wall());
  }

  /** What happened. Afterwards the link may have a frame. */
  poll(): SessionStep | undefined {
    const text = this.raw.poll();
    if (text === undefined) return undefined;
    const step = JSON.parse(text) as SessionStep;
    if (step.type === "message") step.message = this.raw.takeMessage() ?? new Uint8Array();
    return step;
  }

  /** Says goodbye, after what is queued, or 10 s later without it; the step `closed` comes when it is said. */
  close(link: number): void {
    this.raw.close(link, mono(), wall());
  }

  /** The link is gone, whoever closed it. */
  linkDown(link: number): void {
    this.raw.linkDown(link);
  }

  /** In how many milliseconds `handleTimeout` wants to be called; `undefined`: not before something new happens. */
  timeout(): number | undefined {
    const due = this.raw.pollTimeout();
    return due === undefined ? undefined : Math.max(0, due - mono());
  }

  handleTimeout(): void {
    this.raw.handleTimeout(mono(), wall());
  }
}

/** A code that shows a text to a camera: an SVG document, black on white, `module` pixels to a module. */
export function qrSvg(text: string, module = 4): string {
  return qr(text, module);
}

/** What an invitation says about itself, without taking it: nothing of that is proved. */
export function lookAtInvitation(link: string): { urls: string[]; person: string } {
  return JSON.parse(look(link)) as { urls: string[]; person: string };
}
