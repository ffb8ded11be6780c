/** Two instances in one thread, their stores in memory, and a link between them that is a call: what one seals the other opens. */

import { Instance, Keys } from "../instance.js";
import type { Command, LamaEvent, Output, ReplyTo } from "../types.js";

/** Where one of them is said to listen. */
const URL = "ws://localhost:1";
/** Frames that go one way before the other side has its turn. */
const FRAMES = 64;
/** Nothing takes as long, in milliseconds. */
const PATIENCE = 300_000;

interface Side {
  instance: Instance;
  answers: Map<number, Extract<Output, { type: "reply" | "failed" }>>;
  shared: Set<string>;
  messages: number;
  /** It may have frames to send. */
  ready: boolean;
}

/** What frames cost at the border, summed up. */
export interface Costs {
  frames: number;
  bytes: number;
  /** Allocations of the module while a frame was asked for, and while one was taken. */
  out: number;
  taken: number;
}

function side(email: string): Side {
  const instance = new Instance(Keys.create(email, "measure"));
  return { instance, answers: new Map(), shared: new Set(), messages: 0, ready: false };
}

export class Pair {
  readonly first: Side = side("ada@lama.local");
  readonly second: Side = side("bob@lama.local");
  costs: Costs = { frames: 0, bytes: 0, out: 0, taken: 0 };
  /** Whether a dial leads anywhere. */
  private online = true;
  private link = 0;
  private up = false;
  private tickets = 0;

  /** They pair. `allocations`: how many the module has made, where it counts them. */
  constructor(private readonly allocations: () => number) {
    this.first.instance.listening([URL]);
    const { link } = this.ask(this.first, { type: "invite" });
    this.ask(this.second, { type: "join", link });
  }

  /** Asks one of them, without waiting for the answer; its ticket. */
  begin(side: Side, command: Command): number {
    this.tickets += 1;
    side.instance.command(this.tickets, command);
    return this.tickets;
  }

  /** Asks one of them, and turns until it answers. */
  ask<C extends Command>(side: Side, command: C): ReplyTo<C> {
    const ticket = this.begin(side, command);
    this.until(() => side.answers.has(ticket));
    const answer = side.answers.get(ticket);
    side.answers.delete(ticket);
    if (answer?.type !== "reply") throw new Error(answer?.problem.message);
    return answer.reply as ReplyTo<C>;
  }

  until(done: () => boolean): void {
    const end = performance.now() + PATIENCE;
    while (!done()) {
      if (performance.now() > end) throw new Error("the two instances do not come to an end");
      this.turn();
    }
  }

  /** The link breaks, and nobody is reached. */
  part(): void {
    this.online = false;
    this.up = false;
    for (const { instance } of [this.first, this.second]) instance.linkDown(this.link, "lost");
  }

  /** The second one dials the first, whatever the backoff. */
  meet(): void {
    this.online = true;
    this.ask(this.second, { type: "connect", person: this.first.instance.identity.person });
  }

  private turn(): void {
    for (const [side, other] of [[this.first, this.second], [this.second, this.first]] as const) {
      if (side.instance.timeout() === 0) side.instance.handleTimeout();
      for (let output = side.instance.poll(); output !== undefined; output = side.instance.poll()) this.heed(side, output);
      while (side.instance.nextReadyLink() !== undefined) side.ready = true;
      this.carry(side, other);
    }
  }

  private carry(from: Side, to: Side): void {
    for (let sent = 0; sent < FRAMES; sent += 1) {
      if (!this.up || !from.ready || !to.instance.wantsInput(this.link)) return;
      const before = this.allocations();
      const frame = from.instance.pollFrame(this.link);
      if (frame === undefined) {
        from.ready = false;
        return;
      }
      const between = this.allocations();
      to.instance.frame(this.link, frame);
      this.costs.frames += 1;
      this.costs.bytes += frame.byteLength;
      this.costs.out += between - before;
      this.costs.taken += this.allocations() - between;
    }
  }

  private heed(side: Side, output: Output): void {
    switch (output.type) {
      case "dial":
        if (side === this.first || !this.online || this.up) side.instance.dialFailed(output.dial, "refused");
        else {
          this.link += 1;
          this.up = true;
          this.first.instance.linkAccepted(this.link, "127.0.0.1");
          this.second.instance.linkDialled(this.link, output.dial);
        }
        break;
      case "close":
        this.up = false;
        for (const { instance } of [this.first, this.second]) instance.linkDown(output.link, "closed");
        break;
      case "reply":
      case "failed":
        side.answers.set(output.ticket, output);
        break;
      case "event":
        this.hear(side, output.event);
        break;
      case "ended":
        throw new Error(`an instance has ended: ${output.problem?.message ?? "it was shut down"}`);
    }
  }

  private hear(side: Side, event: LamaEvent): void {
    if (event.type === "shared") side.shared.add(event.root);
    else if (event.type === "message") side.messages += 1;
  }
}
