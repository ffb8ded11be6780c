/** What the suites of the store ask for: new files, and a place for the words of a test that failed. */

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openFile } from "../../node.js";
import { register, unregister } from "../../platform.js";

const temp = fs.mkdtempSync(join(tmpdir(), "lama-js-suites-"));
const files: number[] = [];

export const failures: string[] = [];

/** Nothing here outlives the process, so nobody waits for the disk: some thousand times. */
export function newFile(): number {
  const file = openFile(join(temp, `${files.length}.redb`));
  const number = register({ ...file, flush: () => {} });
  files.push(number);
  return number;
}

export function failed(text: string): void {
  failures.push(text);
}

/** Closes and deletes all of them. */
export function clear(): void {
  for (const number of files) unregister(number);
  fs.rmSync(temp, { recursive: true, force: true });
}
