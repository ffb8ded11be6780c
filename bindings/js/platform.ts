/** What the module imports: errors, random bytes, and the store's bytes by the number of an open file. */

/** What goes wrong, with a stable `code` for programs and words for people that say what to do. */
export class LamaError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "LamaError";
  }
}

export function newProblem(code: string, message: string): LamaError {
  return new LamaError(code, message);
}

export function fillRandom(bytes: Uint8Array): void {
  crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
}

/** A file that is read and written at once: the shape of the browser's `FileSystemSyncAccessHandle`. */
export interface SyncFile {
  getSize(): number;
  /** How many bytes were read; fewer only at the file's end. */
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  /** Cuts the file, or lengthens it by zeros. */
  truncate(size: number): void;
  /** Returns when all that was written is durable. */
  flush(): void;
  close(): void;
}

const files = new Map<number, SyncFile>();
let next = 1;

/** Gives the file a number, by which a store names it. */
export function register(file: SyncFile): number {
  const number = next++;
  files.set(number, file);
  return number;
}

/** Closes it; nothing names it any more. */
export function unregister(number: number): void {
  const file = files.get(number);
  files.delete(number);
  file?.close();
}

/** Errors go to the module as text; `full` in front is what it looks for. */
function guarded<T>(number: number, use: (file: SyncFile) => T): T {
  const file = files.get(number);
  if (file === undefined) throw "the file is closed";
  try {
    return use(file);
  } catch (error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const full = /QuotaExceeded|ENOSPC|EDQUOT/.test(text);
    throw full ? `full: ${text}` : text;
  }
}

export function storageSize(number: number): number {
  return guarded(number, (file) => file.getSize());
}

export function storageRead(number: number, at: number, into: Uint8Array): number {
  return guarded(number, (file) => file.read(into, { at }));
}

export function storageWrite(number: number, at: number, bytes: Uint8Array): number {
  return guarded(number, (file) => file.write(bytes, { at }));
}

export function storageTruncate(number: number, size: number): void {
  guarded(number, (file) => file.truncate(size));
}

export function storageFlush(number: number): void {
  guarded(number, (file) => file.flush());
}
