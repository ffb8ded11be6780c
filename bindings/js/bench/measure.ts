/**
 * The side of `cargo xtask bench bindings` in JavaScript, the same in Node and in a page. What it does is what the native
 * side does (`bindings/measure/src/main.rs`), step by step.
 */

import * as module from "../lama.js";
import type { FileEntry } from "../types.js";
import { Pair } from "./pair.js";

/** How much of a file is taken and given at once, in bytes. */
const PIECE = 1 << 20;
/** Bytes of each small object. */
const OBJECT = 200;
/** Records that are sealed and opened alone: 16 MiB. */
const RECORDS = 256;

export interface Amounts {
  bytes: number;
  objects: number;
  messages: number;
}

export type Figures = Record<string, number>;

/** What a module that was built with its feature `measure` has beside everything else. */
interface Measuring {
  allocations?: () => number;
  RawRecords?: new (count: number) => { seal(): number; open(): number; free(): void };
}
const { allocations, RawRecords } = module as Measuring;

/** Arrays of bytes that the glue around the module made: copies, and windows on its memory. */
const made = { copies: 0, views: 0 };

export function measure(amounts: Amounts): Figures {
  const figures: Figures = {};
  if (RawRecords !== undefined) {
    seal(new RawRecords(RECORDS), figures);
    countArrays();
  }
  const pair = new Pair(allocations ?? (() => 0));
  blob(pair, amounts.bytes, figures);
  small(pair, amounts.objects, figures);
  talk(pair, amounts.messages, figures);
  return figures;
}

/** So many of it in a second, since then. */
function rate(amount: number, begun: number): number {
  return (amount * 1000) / (performance.now() - begun);
}

/** Only where allocations are counted: it costs time. */
function countArrays(): void {
  const { slice, subarray } = Uint8Array.prototype;
  Uint8Array.prototype.slice = function (...range) {
    made.copies += 1;
    return slice.apply(this, range) as Uint8Array<ArrayBuffer>;
  };
  Uint8Array.prototype.subarray = function (...range) {
    made.views += 1;
    return subarray.apply(this, range) as Uint8Array<ArrayBuffer>;
  };
}

/** Sealing and opening with nothing around them. */
function seal(records: { seal(): number; open(): number; free(): void }, figures: Figures): void {
  let begun = performance.now();
  figures["seal"] = rate(records.seal(), begun);
  begun = performance.now();
  figures["open"] = rate(records.open(), begun);
  records.free();
}

/** One file: into the store, to the other one, and out of its store. */
function blob(pair: Pair, bytes: number, figures: Figures): void {
  const [from, to] = [pair.first.instance, pair.second.instance];
  const data = new Uint8Array(bytes).map((_, at) => (at * 7) % 251);
  let begun = performance.now();
  const number = from.beginBlob();
  for (let start = 0; start < bytes; start += PIECE) from.pushBlob(number, data.subarray(start, start + PIECE));
  const content = from.finishBlob(number);
  figures["store"] = rate(bytes, begun);
  cross(pair, from.makeFile("blob", content).root, "blob", bytes, figures);
  begun = performance.now();
  const read = [];
  for (let start = 0; start < bytes; start += PIECE) read.push(to.read(content.blob, start, PIECE));
  figures["read"] = rate(bytes, begun);
  let at = 0;
  for (const piece of read) for (const byte of piece) if (byte !== (at++ * 7) % 251) at = Infinity;
  if (at !== bytes) throw new Error("the file did not come across as it was");
}

/** A folder of so many small files: as many objects, and few more. */
function small(pair: Pair, objects: number, figures: Figures): void {
  const [from, to] = [pair.first.instance, pair.second.instance];
  const files: FileEntry[] = [];
  const data = new Uint8Array(OBJECT).fill(0x5a);
  const begun = performance.now();
  for (let at = 0; at < objects; at += 1) {
    new DataView(data.buffer).setUint32(0, at, true);
    const number = from.beginBlob();
    from.pushBlob(number, data);
    files.push({ path: path(at), ...from.finishBlob(number) });
  }
  figures["made"] = rate(objects, begun);
  const { root } = from.makeFolder("small", files);
  cross(pair, root, "objects", objects, figures);
  const tree = to.tree(root);
  for (const file of tree.files) {
    const content = to.read(file.blob, 0, file.size);
    const number = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
    if (content.byteLength !== OBJECT || path(number) !== file.path) throw new Error(`the file ${file.path} did not come across as it was`);
  }
  if (tree.files.length !== objects) throw new Error(`${tree.files.length} of ${objects} files came across`);
}

/** 256 of them in a folder: more do not fit into one object. */
function path(at: number): string {
  return `${at >> 8}/${at & 255}`;
}

/** What was shared while they were apart goes across, from the dial on. */
function cross(pair: Pair, root: string, part: string, amount: number, figures: Figures): void {
  pair.part();
  pair.ask(pair.first, { type: "share", root, with: [pair.second.instance.identity.person] });
  pair.costs = { frames: 0, bytes: 0, out: 0, taken: 0 };
  made.copies = made.views = 0;
  const begun = performance.now();
  pair.meet();
  pair.until(() => pair.second.shared.has(root));
  figures[part] = rate(amount, begun);
  const { frames, bytes, out, taken } = pair.costs;
  const each = { frames, frame_bytes: bytes / frames, out: out / frames, in: taken / frames };
  const arrays = { copies: made.copies / frames, views: made.views / frames };
  for (const [name, figure] of Object.entries({ ...each, ...arrays })) figures[`${part}.${name}`] = figure;
}

/** Messages, each written by a command and told by an event. */
function talk(pair: Pair, messages: number, figures: Figures): void {
  const to = pair.second.instance.identity.person;
  const begun = performance.now();
  for (let at = 0; at < messages; at += 1) pair.begin(pair.first, { type: "send", to, text: `message ${at}` });
  pair.until(() => pair.second.messages >= messages);
  figures["messages"] = rate(messages, begun);
}
