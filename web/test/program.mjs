// The program of this tree as a test uses it: an instance in a directory of its own.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";

const PROGRAM = process.env.LAMA_PROGRAM;

export class Program {
  constructor(place, name) {
    this.data = join(place, name);
  }

  /** One command and its answer; throws what the program says where that fails. */
  ask(...args) {
    return this.askWith({}, ...args);
  }

  /** The same with variables in its environment: what is secret is never an argument. */
  askWith(variables, ...args) {
    const done = spawnSync(PROGRAM, ["--data", this.data, "--json", ...args], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      env: { ...process.env, ...variables },
    });
    const answer = done.stdout.trim() === "" ? {} : JSON.parse(done.stdout.trim().split("\n").at(-1));
    if (done.status !== 0) throw new Error(`${args.join(" ")}: ${answer.error?.message ?? done.stderr}`);
    return answer;
  }

  /** Starts the instance with its page; `url` is where that is, with an invitation. */
  async run(...args) {
    this.url = await this.start((line) => line.page?.url, ...args);
    return this.url;
  }

  /** Starts a command that goes on, and waits for the line from which `pick` takes something. */
  async start(pick, ...args) {
    this.child = spawn(PROGRAM, ["--data", this.data, "--json", ...args], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: this.child.stdout });
    return await new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        const found = pick(JSON.parse(line));
        if (found !== undefined) resolve(found);
      });
      this.child.once("exit", (code) => reject(new Error(`the program ended with ${code}`)));
    });
  }

  async stop(signal = "SIGTERM") {
    if (this.child === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    await once(this.child, "exit");
  }
}
