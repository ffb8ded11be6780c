/** The `lama` program with a data directory of its own, and a place for the files of a test. */

import { execFile, spawn, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const LAMA = process.env["LAMA_PROGRAM"] ?? fileURLToPath(new URL("../../../debug/lama", import.meta.url));
export const temp = fs.mkdtempSync(join(tmpdir(), "lama-js-"));
const running = new Set<ChildProcess>();

/** Ends what still runs, and takes the files away: after all tests. */
export function clean(): void {
  for (const child of running) child.kill("SIGKILL");
  fs.rmSync(temp, { recursive: true, force: true });
}

export class Program {
  private child: ChildProcess | undefined;
  readonly data: string;

  constructor(readonly email: string) {
    this.data = join(temp, email);
  }

  async ask(...words: string[]): Promise<Record<string, unknown>> {
    return this.askWith({}, ...words);
  }

  async askWith(env: Record<string, string>, ...words: string[]): Promise<Record<string, unknown>> {
    const [command, ...rest] = words;
    const args = [command ?? "", "--data", this.data, "--json", "--quiet", "--no-qr", ...rest];
    const { stdout } = await promisify(execFile)(LAMA, args, { env: { ...process.env, ...env }, timeout: 60_000 });
    const lines = stdout.trim().split("\n");
    return JSON.parse(lines.at(-1) ?? "{}") as Record<string, unknown>;
  }

  /** Starts it; resolves when it listens. */
  async run(...options: string[]): Promise<void> {
    const child = spawn(LAMA, ["run", "--data", this.data, "--json", "--no-qr", ...options], { stdio: ["ignore", "pipe", "ignore"] });
    this.child = child;
    running.add(child);
    let text = "";
    await new Promise<void>((resolve, reject) => {
      child.stdout?.on("data", (data: Buffer) => {
        text += data.toString();
        if (text.includes('"listening"') || text.includes('"ready"')) resolve();
      });
      child.once("exit", (code) => reject(new Error(`lama run ended with ${code}: ${text}`)));
    });
  }

  async stop(): Promise<void> {
    const child = this.child;
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await gone;
    running.delete(child);
  }
}

export async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it did not happen in a minute: ${what}`);
}
