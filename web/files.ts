/** Shared files: taking them from this device, showing what is there, and giving them back to it. */

import type { Client } from "./instance/client.js";
import type { Flow, SharedItem } from "./instance/types.js";
import { byId, make, notice, tell } from "./dom.js";
import type { People } from "./people.js";
import { bytes, time } from "./words.js";

/** A line with a bar that grows. */
class Transfer {
  private readonly bar = make("progress", { max: 1, value: 0 }) as HTMLProgressElement;
  private readonly said = make("span", { class: "quiet" }, "");
  readonly row: HTMLElement;

  constructor(what: string) {
    this.bar.setAttribute("aria-label", what);
    this.row = make("li", {}, make("span", { class: "name" }, what), this.said, this.bar);
    byId("transfers").append(this.row);
  }

  at(done: number, total: number, text: string): void {
    this.bar.max = Math.max(total, 1);
    this.bar.value = done;
    this.said.textContent = text;
  }

  end(): void {
    this.row.remove();
  }
}

export class Files {
  private readonly flows = new Map<string, Transfer>();

  constructor(
    private readonly client: Client,
    private readonly people: People,
  ) {
    const input = byId<HTMLInputElement>("upload");
    input.addEventListener("change", () => {
      const chosen = [...(input.files ?? [])];
      input.value = "";
      void this.upload(chosen);
    });
    const section = byId("files");
    section.addEventListener("dragover", (event) => event.preventDefault());
    section.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.upload([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** Shares files with the chosen contact, or with all. */
  private async upload(files: File[]): Promise<void> {
    const chosen = this.people.active().filter((contact) => contact.person === this.people.chosen);
    const people = (chosen.length > 0 ? chosen : this.people.active()).map((contact) => contact.person);
    if (people.length === 0) {
      notice("There is nobody to share with yet: take an invitation first.", true);
      return;
    }
    for (const file of files) {
      const transfer = new Transfer(`storing ${file.name}`);
      try {
        await this.client.shareFile(file.name, file, people, (done) =>
          transfer.at(done, file.size, `${bytes(done)} of ${bytes(file.size)}`),
        );
      } catch (error) {
        tell(error);
      }
      transfer.end();
      await this.refresh();
    }
  }

  async refresh(): Promise<void> {
    const { items } = await this.client.call({ type: "shared" });
    const rows = items.sort((one, other) => other.time - one.time).map((item) => this.row(item));
    byId("shared").replaceChildren(...rows);
    byId("no-files").hidden = rows.length > 0;
  }

  /** How far a session is; a line for each direction in which something moves. */
  progress(person: string, received: Flow, sent: Flow): void {
    for (const [way, flow] of [["from", received], ["to", sent]] as const) {
      const key = `${way} ${person}`;
      const total = flow.total;
      if (total === null || flow.done >= total) {
        this.flows.get(key)?.end();
        this.flows.delete(key);
        continue;
      }
      const transfer = this.flows.get(key) ?? new Transfer(`${way} ${this.people.name(person)}`);
      this.flows.set(key, transfer);
      transfer.at(flow.done, total, `${flow.done} of ${total} objects, ${bytes(flow.bytes)}`);
    }
  }

  /** A session is over: so is what moved in it. */
  stopped(person: string): void {
    for (const way of ["from", "to"]) {
      this.flows.get(`${way} ${person}`)?.end();
      this.flows.delete(`${way} ${person}`);
    }
  }

  private row(item: SharedItem): HTMLElement {
    const by = item.by === this.client.identity.person ? "by you" : `by ${this.people.name(item.by)}`;
    const word = item.kind === "file" ? "Download" : "Show files";
    const get = make("button", { type: "button", class: "plain" }, word);
    get.setAttribute("aria-label", `${word}: ${item.name}`);
    const row = make(
      "li",
      { "data-name": item.name },
      make("span", { class: "name" }, item.name),
      get,
      make("span", { class: "quiet" }, `${item.kind}, ${bytes(item.bytes)}, ${by}, ${time(item.time)}`),
    );
    get.addEventListener("click", () => {
      (item.kind === "file" ? this.save(item.root) : this.list(item.root, row)).catch(tell);
    });
    return row;
  }

  /** The files of a folder, each to be had by itself. */
  private async list(root: string, row: HTMLElement): Promise<void> {
    const open = row.querySelector("ul");
    if (open !== null) {
      open.remove();
      return;
    }
    const { files } = await this.client.tree(root);
    const entries = files.map((file) => {
      const get = make("button", { type: "button", class: "plain" }, "Download");
      get.addEventListener("click", () => {
        this.give(file.path.split("/").at(-1) ?? file.path, file.blob, file.size).catch(tell);
      });
      return make("li", {}, make("span", { class: "name" }, `${file.path} (${bytes(file.size)})`), get);
    });
    row.append(make("ul", {}, ...entries));
  }

  private async save(root: string): Promise<void> {
    const { name, files } = await this.client.tree(root);
    const file = files[0];
    if (file !== undefined) await this.give(name, file.blob, file.size);
  }

  /** Reads a file piece by piece, each verified, and hands it to the browser as a download. */
  private async give(name: string, blob: string, size: number): Promise<void> {
    const transfer = new Transfer(`reading ${name}`);
    try {
      const parts: BlobPart[] = [];
      let done = 0;
      for await (const piece of this.client.pieces(blob, size)) {
        // Into a blob each time: a browser keeps those on disk.
        parts.push(new Blob([piece as Uint8Array<ArrayBuffer>]));
        done += piece.byteLength;
        transfer.at(done, size, `${bytes(done)} of ${bytes(size)}`);
      }
      const url = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
      const link = make("a", { href: url, download: name });
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } finally {
      transfer.end();
    }
  }
}
