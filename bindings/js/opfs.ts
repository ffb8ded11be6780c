/** A store in the origin-private file system: in a worker alone, where files are read and written at once. */

import { LamaError, register, unregister, type SyncFile } from "./platform.js";

/** What the platform's types only know in a worker. */
interface WithSyncAccess extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncFile>;
}

export interface OpenStore {
  /** For `start`. */
  file: number;
  /** Closes it and lets another tab have it. */
  close(): void;
}

/**
 * Takes the store of this name for this worker. Only one tab can: another one is told so with the code `store-locked`,
 * or waits for its turn if `wait` is true.
 */
export async function openStore(name: string, wait = false): Promise<OpenStore> {
  const release = await takeLock(`lama/${name}`, wait);
  try {
    const handle = await fileHandle(`${name}.redb`, true);
    const file = register(await handle.createSyncAccessHandle());
    return {
      file,
      close: () => {
        unregister(file);
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** A small file of this origin, whole; `undefined`: it is not there. */
export async function readSmall(name: string): Promise<Uint8Array | undefined> {
  try {
    const handle = await fileHandle(name, false);
    return new Uint8Array(await (await handle.getFile()).arrayBuffer());
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
    throw error;
  }
}

/** Writes a small file of this origin; it is there whole, or as it was before. */
export async function writeSmall(name: string, bytes: Uint8Array): Promise<void> {
  const handle = await fileHandle(name, true);
  const writable = await handle.createWritable();
  await writable.write(bytes as Uint8Array<ArrayBuffer>);
  await writable.close();
}

/** Deletes a store of this name with all that it held, and its keys. Nobody may have it open. */
export async function deleteAll(name: string): Promise<void> {
  const root = await navigator.storage.getDirectory();
  for (const file of [`${name}.redb`, `${name}.keys`]) {
    await root.removeEntry(file).catch((error: unknown) => {
      if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
    });
  }
}

async function fileHandle(name: string, create: boolean): Promise<WithSyncAccess> {
  const root = await navigator.storage.getDirectory();
  return (await root.getFileHandle(name, { create })) as WithSyncAccess;
}

/** A lock of the origin; the answer gives it back. It is also given back when the tab goes. */
function takeLock(name: string, wait: boolean): Promise<() => void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: !wait }, (lock) => {
        if (lock === null) {
          reject(new LamaError("store-locked", "another tab works with this store; go there, or close it"));
          return undefined;
        }
        return new Promise<void>((release) => resolve(release));
      })
      .catch(reject);
  });
}
