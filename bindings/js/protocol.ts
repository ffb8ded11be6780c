/** What a page and its worker say to each other. */

import type { Command, LamaEvent, Problem } from "./types.js";

/** Which instance. */
export interface Open {
  /** The name of its store and keys in the origin-private file system; left out: in memory. */
  store?: string;
  /** Who it is, if it is not there yet. */
  create?: { email: string; name: string };
  /** What its keys are locked by. */
  passphrase?: string;
  /** Waits while another tab has it, instead of saying so. */
  wait?: boolean;
  /** Where the module is, if not beside the scripts; relative to the worker's script. */
  wasm?: string;
}

/** What a page hands to a worker: a file goes over without being copied. */
export type Sent = Uint8Array | Blob;

export type Request = { id: number } & (
  | { method: "open"; options: Open }
  | { method: "call"; command: Command }
  | { method: "store"; data: Sent }
  | { method: "shareFile"; name: string; data: Sent; people: string[] }
  | { method: "shareFolder"; name: string; files: { path: string; data: Sent }[]; people: string[] }
  | { method: "tree"; root: string }
  | { method: "read"; blob: string; start: number; length: number }
  | { method: "qrSvg"; text: string; module: number }
  | { method: "lookAtInvitation"; link: string }
);

export type Answer =
  | { id: number; value: unknown }
  | { id: number; problem: Problem }
  | { progress: number; bytes: number }
  | { event: LamaEvent }
  | { ended: Problem | null };
