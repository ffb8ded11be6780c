/** The page's side of an instance in a worker: the same interface as a `Host` in this thread. */

import type { Api, Data } from "./host.js";
import { LamaError } from "./platform.js";
import type { Answer, Open, Request, Sent } from "./protocol.js";
import type { Command, Content, Identity, LamaEvent, Made, Problem, ReplyTo, Tree } from "./types.js";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: LamaError): void;
  progress: ((bytes: number) => void) | undefined;
}

/** A request without its number. */
type Asked = Request extends infer R ? (R extends unknown ? Omit<R, "id"> : never) : never;

/** How much of a file is asked for at once, in bytes. */
const PIECE = 1 << 20;

export class Client implements Api {
  identity!: Identity;
  readonly ended: Promise<Problem | null>;
  private end!: (problem: Problem | null) => void;
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners = new Set<(event: LamaEvent) => void>();
  private next = 0;

  private constructor(private readonly worker: Worker) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.heard(data);
    worker.onerror = (event) => this.lost(event.message);
  }

  /** Opens an instance in that worker. Rejects with `store-locked` if another tab has it. */
  static async open(worker: Worker, options: Open): Promise<Client> {
    const client = new Client(worker);
    client.identity = await client.ask<Identity>({ method: "open", options });
    return client;
  }

  call<C extends Command>(command: C): Promise<ReplyTo<C>> {
    return this.ask({ method: "call", command });
  }

  on(listener: (event: LamaEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async store(data: Data, progress?: (bytes: number) => void): Promise<Content> {
    return this.ask({ method: "store", data: sendable(data) }, progress);
  }

  async shareFile(name: string, data: Data, people: string[], progress?: (bytes: number) => void): Promise<Made> {
    return this.ask({ method: "shareFile", name, data: sendable(data), people }, progress);
  }

  async shareFolder(name: string, files: { path: string; data: Data }[], people: string[]): Promise<Made> {
    const sent = files.map(({ path, data }) => ({ path, data: sendable(data) }));
    return this.ask({ method: "shareFolder", name, files: sent, people });
  }

  tree(root: string): Promise<Tree> {
    return this.ask({ method: "tree", root });
  }

  read(blob: string, start: number, length: number): Promise<Uint8Array> {
    return this.ask({ method: "read", blob, start, length });
  }

  async *pieces(blob: string, size: number): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < size; start += PIECE) yield await this.read(blob, start, PIECE);
  }

  /** A code that shows a text to a camera, as an SVG document. */
  qrSvg(text: string, module = 4): Promise<string> {
    return this.ask({ method: "qrSvg", text, module });
  }

  /** What an invitation says about itself, without taking it. */
  lookAtInvitation(link: string): Promise<{ urls: string[]; person: string }> {
    return this.ask({ method: "lookAtInvitation", link });
  }

  private ask<T>(request: Asked, progress?: (bytes: number) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const id = this.next++;
      this.waiting.set(id, { resolve: (value) => resolve(value as T), reject, progress });
      this.worker.postMessage({ id, ...request });
    });
  }

  private heard(answer: Answer): void {
    if ("event" in answer) for (const listener of [...this.listeners]) listener(answer.event);
    else if ("ended" in answer) this.end(answer.ended);
    else if ("progress" in answer) this.waiting.get(answer.progress)?.progress?.(answer.bytes);
    else {
      const waiting = this.waiting.get(answer.id);
      this.waiting.delete(answer.id);
      if ("problem" in answer) waiting?.reject(new LamaError(answer.problem.code, answer.problem.message));
      else waiting?.resolve(answer.value);
    }
  }

  /** The worker itself failed. */
  private lost(message: string): void {
    const problem = { code: "binding.crashed", message: `the worker stopped working (${message}); load the page again` };
    for (const waiting of this.waiting.values()) waiting.reject(new LamaError(problem.code, problem.message));
    this.waiting.clear();
    this.end(problem);
  }
}

function sendable(data: Data): Sent {
  if (data instanceof Uint8Array || data instanceof Blob) return data;
  throw new LamaError("binding.argument", "a worker takes bytes or a file; read the stream into one of them first");
}
