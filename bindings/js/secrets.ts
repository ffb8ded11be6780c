/** What keys are, whichever module holds them. */

import type { Identity } from "./types.js";

interface Raw {
  seal(passphrase?: string): Uint8Array;
  /** As JSON. */
  identity(): string;
}

/** The secrets of an instance, until something takes them. */
export class Secrets<R extends Raw> {
  /** For this package alone. */
  constructor(private raw: R | undefined) {}

  /** The bytes of a key file. Without a passphrase whoever reads it has the keys. */
  seal(passphrase?: string): Uint8Array {
    return this.use().seal(passphrase);
  }

  identity(): Identity {
    return JSON.parse(this.use().identity()) as Identity;
  }

  /** They go into an instance or its sessions, once. */
  take(): R {
    const raw = this.use();
    this.raw = undefined;
    return raw;
  }

  private use(): R {
    if (this.raw === undefined) throw new TypeError("these keys are in use already; open the key file again");
    return this.raw;
  }
}
