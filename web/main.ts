/**
 * The page: an instance of its own in this browser. The instance runs in a worker, which keeps keys and store in the
 * origin-private file system; this file shows what it says and asks what people want.
 */

import { Client } from "./instance/client.js";
import { LamaError } from "./instance/platform.js";
import type { Open } from "./instance/protocol.js";
import type { LamaEvent } from "./instance/types.js";
import { Chat } from "./chat.js";
import { byId, field, notice, onSubmit, show, tell } from "./dom.js";
import { Files } from "./files.js";
import { Inviting } from "./invite.js";
import { People } from "./people.js";

/** The name of keys and store in this browser. */
const STORE = "lama";
/** What an invitation looks like when it is typed or sent. */
const LINK = "lama://join#";

/** What the fragment of the address brought: it is good once, so it does not stay there. */
function handed(): { invitation: string | undefined; email: string | undefined } {
  const given = new URLSearchParams(location.hash.slice(1));
  if (location.hash !== "") history.replaceState(null, "", location.pathname);
  const secret = given.get("invitation");
  return { invitation: secret === null ? undefined : LINK + secret, email: given.get("email") ?? undefined };
}

let waiting = handed();
/** Takes the invitation that waits; there once an instance runs. */
let join: (() => void) | undefined;

async function open(more: Partial<Open> = {}): Promise<void> {
  show("opening");
  const worker = new Worker(new URL("./instance/worker.js", import.meta.url), { type: "module" });
  try {
    run(await Client.open(worker, { store: STORE, ...more }));
  } catch (error) {
    worker.terminate();
    await refused(error, more);
  }
}

/** Why there is no instance yet, and what a person can do about it. */
async function refused(error: unknown, more: Partial<Open>): Promise<void> {
  const code = error instanceof LamaError ? error.code : "";
  const message = error instanceof Error ? error.message : String(error);
  if (code === "binding.no-keys") {
    if (waiting.email !== undefined) return open({ create: { email: waiting.email, name: "browser" } });
    show("create");
  } else if (code === "passphrase_needed" || (code === "locked" && more.passphrase !== undefined)) {
    if (code === "locked") tell(error);
    show("unlock");
  } else if (code === "store-locked") {
    closed("This is open in another tab", "One tab at a time works with what this browser keeps. Go to the other tab, or close it.");
  } else {
    closed("The instance could not be opened", message);
  }
}

function closed(title: string, text: string): void {
  byId("closed-title").textContent = title;
  byId("closed-text").textContent = text;
  show("closed");
}

function run(client: Client): void {
  show("app");
  const me = client.identity;
  byId("me").textContent = `${me.email} (${me.name}, key ${me.fingerprint.slice(0, 16)})`;
  const chat = new Chat(client);
  const people = new People(client, (contact) => chat.open(contact));
  const files = new Files(client, people);
  const inviting = new Inviting(client);
  void inviting.refresh();
  const look = later(() => people.refresh());
  const read = later(() => chat.refresh());
  const list = later(() => files.refresh());
  client.on((event) => {
    hear(event, files);
    inviting.hear(event);
    look();
    if (event.type === "message" || event.type === "messageChanged") read();
    if (event.type === "shared" || event.type === "received" || event.type === "inSync") list();
  });
  document.addEventListener("visibilitychange", () => read());
  // What was seen last goes stale without an event, too.
  setInterval(look, 5_000);
  void client.ended.then((problem) => {
    closed("The instance has stopped", problem?.message ?? "It was shut down.");
  });
  people.refresh().then(() => files.refresh()).catch(tell);
  join = () => {
    const { invitation } = waiting;
    waiting = { invitation: undefined, email: undefined };
    if (invitation !== undefined) people.join(invitation).catch(tell);
  };
  join();
}

/** What must be told at once. */
function hear(event: LamaEvent, files: Files): void {
  switch (event.type) {
    case "progress":
      files.progress(event.person, event.received, event.sent);
      break;
    case "sessionEnded":
      files.stopped(event.peer.person);
      break;
    case "alarm":
      notice(event.message, true);
      break;
    case "pairingFailed":
    case "storeFailed":
      notice(event.problem.message, true);
      break;
    case "contactRemoved":
      notice(event.byPeer ? "A contact has removed you." : "The contact is removed.");
      break;
    default:
  }
}

/** Many events are one look. */
function later(work: () => Promise<void>): () => void {
  let state: "idle" | "running" | "again" = "idle";
  const go = (): void => {
    state = "running";
    work()
      .catch(tell)
      .finally(() => {
        const again = state === "again";
        state = "idle";
        if (again) setTimeout(start, 100);
      });
  };
  const start = (): void => {
    if (state === "idle") go();
    else state = "again";
  };
  return start;
}

onSubmit(byId<HTMLFormElement>("create-form"), async (data) => {
  const passphrase = field(data, "passphrase");
  const create = { email: field(data, "email"), name: field(data, "name") };
  await open(passphrase === "" ? { create } : { create, passphrase });
});
onSubmit(byId<HTMLFormElement>("unlock-form"), async (data) => {
  const passphrase = field(data, "passphrase");
  byId<HTMLFormElement>("unlock-form").reset();
  await open({ passphrase });
});
byId("closed-again").addEventListener("click", () => void open());

// An invitation that is opened while the page is there already.
window.addEventListener("hashchange", () => {
  waiting = handed();
  if (waiting.invitation !== undefined) location.reload();
});

void open();
