/** One instance, typed: node, store and keys in one object that a host drives. `host.ts` does; nothing else need. */

import { RawEnrolling, RawInstance, RawKeys, lookAtInvitation as look, qrSvg as qr } from "./lama.js";
import { Secrets } from "./secrets.js";
import type { Command, Content, DialCause, FileEntry, Identity, LinkCause, Made, Output, Tree } from "./types.js";

/** The secrets of an instance. They live in the module's memory; outside they are the bytes of a key file. */
export class Keys extends Secrets<RawKeys> {
  /** Makes a person, known by an e-mail address, and its first instance. */
  static create(email: string, name: string): Keys {
    return new Keys(RawKeys.create(email, name, Date.now()));
  }

  /** Opens a key file made by `seal`, or the `keys.lama` of the `lama` program. */
  static open(file: Uint8Array, passphrase?: string): Keys {
    return new Keys(RawKeys.open(file, passphrase));
  }

  static needsPassphrase(file: Uint8Array): boolean {
    return RawKeys.needsPassphrase(file);
  }
}

/**
 * The keys of a further instance of a person, on the new device: made from what the command `offerInstance` gave on a device
 * with the person's key, which certifies them by `certifyInstance`. None of the three texts is secret; `seal` is.
 */
export class Enrolling {
  private constructor(private readonly raw: RawEnrolling) {}

  static create(offer: string, name: string): Enrolling {
    return new Enrolling(RawEnrolling.create(offer, name, Date.now()));
  }

  /** Opens what `seal` gave, while the request was away. */
  static open(file: Uint8Array, passphrase?: string): Enrolling {
    return new Enrolling(RawEnrolling.open(file, passphrase));
  }

  request(): string {
    return this.raw.request();
  }

  seal(passphrase?: string): Uint8Array {
    return this.raw.seal(passphrase);
  }

  /** The keys of the instance, by the certificate that came back. */
  accept(certificate: string): Keys {
    return new Keys(this.raw.accept(certificate));
  }
}

/** Both clocks, in milliseconds: to measure with, and to write down. */
const mono = (): number => performance.now();
const wall = (): number => Date.now();

export class Instance {
  private readonly raw: RawInstance;
  readonly identity: Identity;

  /** Opens the store in a registered file (`platform.ts`), or in memory; the keys are taken. */
  constructor(keys: Keys, file?: number) {
    this.identity = keys.identity();
    this.raw = RawInstance.open(keys.take(), file, mono(), wall());
  }

  /** Asks; answered by one `reply` or `failed` with this ticket. */
  command(ticket: number, command: Command): void {
    this.raw.command(ticket, JSON.stringify(command), mono(), wall());
  }

  listening(urls: string[]): void {
    this.raw.listening(urls, mono(), wall());
  }

  /** `exporter`: 32 bytes of the TLS connection, where the platform tells them. */
  linkDialled(link: number, dial: number, exporter?: Uint8Array): void {
    this.raw.linkDialled(link, dial, exporter, mono(), wall());
  }

  linkAccepted(link: number, address: string): void {
    this.raw.linkAccepted(link, address, mono(), wall());
  }

  dialFailed(dial: number, cause: DialCause): void {
    this.raw.dialFailed(dial, cause, mono(), wall());
  }

  frame(link: number, bytes: Uint8Array): void {
    this.raw.frame(link, bytes, mono(), wall());
  }

  linkDown(link: number, cause: LinkCause): void {
    this.raw.linkDown(link, cause, mono(), wall());
  }

  handleTimeout(): void {
    this.raw.handleTimeout(mono(), wall());
  }

  poll(): Output | undefined {
    const output = this.raw.poll(mono(), wall());
    return output === undefined ? undefined : (JSON.parse(output) as Output);
  }

  nextReadyLink(): number | undefined {
    return this.raw.nextReadyLink();
  }

  /** The next frame of a link, only while that has room: what was made must be sent. */
  pollFrame(link: number): Uint8Array | undefined {
    return this.raw.pollFrame(link);
  }

  /** In how many milliseconds `handleTimeout` wants to be called; `undefined`: not before something new happens. */
  timeout(): number | undefined {
    const due = this.raw.pollTimeout();
    return due === undefined ? undefined : Math.max(0, due - mono());
  }

  wantsInput(link: number): boolean {
    return this.raw.wantsInput(link);
  }

  /** The longest frame that may come on this link now. */
  frameLimit(link: number): number {
    return this.raw.frameLimit(link);
  }

  /** Begins to take the content of a file: push its bytes in pieces of any size, then finish it. */
  beginBlob(): number {
    return this.raw.beginBlob();
  }

  pushBlob(number: number, bytes: Uint8Array): void {
    this.raw.pushBlob(number, bytes);
  }

  finishBlob(number: number): Content {
    return JSON.parse(this.raw.finishBlob(number)) as Content;
  }

  dropBlob(number: number): void {
    this.raw.dropBlob(number);
  }

  makeFile(name: string, content: Content, executable = false): Made {
    return JSON.parse(this.raw.makeFile(name, content.blob, content.size, executable)) as Made;
  }

  makeFolder(name: string, files: FileEntry[]): Made {
    return JSON.parse(this.raw.makeFolder(name, JSON.stringify(files))) as Made;
  }

  tree(root: string): Tree {
    return JSON.parse(this.raw.tree(root)) as Tree;
  }

  /** Bytes of a file's content, verified against its id; at most 16 MiB at a time. */
  read(blob: string, start: number, length: number): Uint8Array {
    return this.raw.read(blob, start, length);
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
