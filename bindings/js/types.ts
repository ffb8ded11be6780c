/** Commands, replies and events. Times are milliseconds since the Unix epoch; ids are whole and can be given back. */

export interface Problem {
  /** A stable name, the same in every language. */
  code: string;
  /** What happened, why, and what to do. */
  message: string;
}

export interface Identity {
  email: string;
  person: string;
  /** Of the person's signing key. */
  fingerprint: string;
  instance: string;
  /** What its person calls the instance. */
  name: string;
}

/** What an instance is asked; `confirm`, `label` and the like may be left out. */
export type Command =
  /** Makes an invitation, good once; the instance must listen. `lifetime` in seconds; `base`: a page's address. */
  | { type: "invite"; confirm?: boolean; lifetime?: number; label?: string; base?: string }
  | { type: "invitations" }
  | { type: "revokeInvitation"; locator: string }
  /** `lan`: the local network may be dialled. `opened`: another program opened the link, not the user. */
  | { type: "join"; link: string; lan?: boolean; opened?: boolean }
  | { type: "pending" }
  | { type: "approve"; person: string }
  | { type: "deny"; person: string }
  | { type: "contacts" }
  | { type: "removeContact"; person: string }
  | { type: "send"; to: string; text: string; channel?: string }
  | { type: "channels" }
  /** A channel by its id, or the chat `with` a person; the last messages, or those before, after, or unread. */
  | { type: "log"; channel?: string; with?: string; before?: string; after?: string; unread?: boolean; limit: number }
  | { type: "edit"; message: string; text: string }
  | { type: "delete"; message: string }
  /** `upto`: the `arrived` of the channel when it was read. */
  | { type: "markRead"; channel: string; upto: number }
  /** `note`: the text of a message that points to it; left out: no message. */
  | { type: "share"; root: string; with: string[]; note?: string }
  | { type: "shared" }
  | { type: "connect"; person: string }
  | { type: "explain"; object: string; person: string }
  | { type: "quota"; person: string }
  | { type: "instances" }
  | { type: "status" }
  | { type: "checkStore" }
  | { type: "shutdown" };

/** What each command is answered with. */
export interface Replies {
  invite: { locator: string; link: string; expires: number; urls: string[] };
  invitations: { invitations: Invitation[] };
  revokeInvitation: object;
  join: { contact: Contact };
  pending: { pairings: Pairing[] };
  approve: { contact: Contact };
  deny: object;
  contacts: { contacts: Contact[] };
  removeContact: object;
  send: { channel: string; id: string };
  channels: { channels: Channel[] };
  log: { messages: Message[] };
  edit: { channel: string; id: string };
  delete: { channel: string; id: string };
  markRead: object;
  /** `withheld`: objects that were left out, since they are not here or not ours. */
  share: { withheld: number };
  shared: { items: SharedItem[] };
  connect: object;
  explain: { explanation: Explanation };
  quota: { quota: Quota };
  instances: { instances: OwnInstance[] };
  status: { status: Status };
  checkStore: { objects: number; bytes: number };
  shutdown: object;
}

export type ReplyTo<C extends Command> = Replies[C["type"]];

export interface Contact {
  person: string;
  email: string;
  state: "pending" | "active";
  fingerprint: string;
  /** The six digits of the pairing. */
  checkCode: string | null;
  since: number;
  instances: ContactInstance[];
}

export interface ContactInstance {
  instance: string;
  name: string;
  /** `null`: it only dials. */
  url: string | null;
  connected: boolean;
  lastSeen: number | null;
}

export interface Pairing {
  person: string;
  email: string | null;
  instanceName: string | null;
  fingerprint: string;
  /** Six digits to compare with the other side. */
  checkCode: string | null;
  role: "inviter" | "joiner";
  waitsFor: "ourApproval" | "theirApproval" | "peer";
  since: number;
}

export interface Invitation {
  locator: string;
  state: "open" | "blocked" | "consumed" | "completed" | "revoked" | "expired";
  /** Who took it. */
  by: string | null;
  label: string;
  expires: number;
  confirm: boolean;
}

export interface Channel {
  channel: string;
  name: string;
  members: string[];
  messages: number;
  /** The number of the last arrival from others, for `markRead`. */
  arrived: number;
  unread: number;
}

/** Its text comes from somebody else: show it as text, never as markup. */
export interface Message {
  id: string;
  channel: string;
  author: string;
  /** Empty if the author is not known here. */
  email: string;
  time: number;
  /** As it stands now; empty once deleted. */
  text: string;
  /** The shared file or folder it points to. */
  attachment: string | null;
  edited: number | null;
  deleted: number | null;
  unread: boolean;
}

export interface SharedItem {
  name: string;
  kind: "file" | "folder";
  bytes: number;
  by: string;
  with: string[];
  time: number;
  root: string;
}

export interface Flow {
  done: number;
  total: number | null;
  objects: number;
  bytes: number;
}

export interface Peer {
  person: string;
  email: string;
  instance: string;
  instanceName: string;
}

export interface PeerStatus {
  peer: Peer;
  state: "inSync" | "syncing" | "pairing" | "connecting" | "waiting" | "unreachable";
  path: "none" | "direct" | "relay";
  dialled: boolean;
  url: string | null;
  lastSeen: number | null;
  received: Flow;
  sent: Flow;
  /** How many objects both held when they were last seen to hold the same, and their fingerprint. */
  common: number | null;
  fingerprint: string | null;
  bytesOut: number;
  bytesIn: number;
  failures: number;
}

export interface Status {
  me: Peer;
  fingerprint: string;
  listening: string[];
  peers: PeerStatus[];
  objects: number;
  bytes: number;
}

export type Standing =
  | "notAContact"
  | "notHere"
  | "setAside"
  | "tombstone"
  | "notShared"
  | "pending"
  | "sent"
  | "overQuota"
  | "refused"
  | "acknowledged"
  | "fromThem";

export interface Explanation {
  object: string;
  person: string;
  standing: Standing;
  instances: { instance: string; standing: Standing }[];
  direct: boolean;
  rules: { rule: string; author: string; inEffect: boolean }[];
}

export interface Quota {
  objects: number;
  bytes: number;
  refused: number;
  maxObjects: number | null;
  maxBytes: number | null;
}

export interface OwnInstance {
  instance: string;
  name: string | null;
  revoked: boolean;
  isThis: boolean;
}

/** The content of a file, stored here. */
export interface Content {
  blob: string;
  size: number;
}

/** A file or folder that is stored here and can be shared. */
export interface Made {
  root: string;
  size: number;
}

export interface FileEntry {
  /** Below the folder, `/` between parts; the name itself where a file was shared alone. */
  path: string;
  blob: string;
  size: number;
  executable?: boolean;
}

export interface Tree {
  name: string;
  kind: "file" | "folder";
  files: FileEntry[];
}

export type DialCause =
  | "refused"
  | "notFound"
  | "unreachable"
  | "timeout"
  | "unknownIssuer"
  | "expired"
  | "notYetValid"
  | "wrongName"
  | "revoked"
  | "tls"
  | "notLama"
  | "notAllowed"
  | "other";

export type LinkCause = "closed" | "lost" | "violation" | "local";

/** A WebSocket that the instance wants. */
export interface Dial {
  dial: number;
  url: string;
  subprotocol: string;
  /** Whether the name may lead to this machine; whether to the local network. */
  loopback: boolean;
  private: boolean;
}

export type LamaEvent =
  | { type: "ready" }
  | { type: "listening"; urls: string[] }
  | { type: "sessionStarted"; session: number; peer: Peer; dialled: boolean; url: string | null }
  | { type: "sessionEnded"; session: number; peer: Peer; reason: string; message: string }
  | { type: "linkRefused"; link: number; reason: string; message: string }
  | { type: "dialFailed"; peer: Peer | null; url: string; message: string; failures: number }
  | { type: "pairingPending"; pairing: Pairing }
  | { type: "paired"; contact: Contact }
  | { type: "pairingFailed"; person: string | null; problem: Problem }
  | { type: "contactRemoved"; person: string; byPeer: boolean }
  /** To be shown until a person has seen it. */
  | { type: "alarm"; code: string; message: string; person: string | null }
  | { type: "invitationExpired"; locator: string }
  | { type: "message"; message: Message }
  | { type: "messageChanged"; message: Message }
  | { type: "shared"; root: string; by: string }
  | { type: "received"; peer: Peer; objects: number }
  | { type: "progress"; session: number; person: string; received: Flow; sent: Flow }
  | { type: "inSync"; peer: Peer; count: number; fingerprint: string }
  | { type: "objectRefused"; peer: Peer; object: string; there: boolean }
  | { type: "storeFailed"; doing: string; problem: Problem };

export type Output =
  | ({ type: "dial" } & Dial)
  | { type: "close"; link: number }
  | { type: "reply"; ticket: number; reply: object }
  | { type: "failed"; ticket: number; problem: Problem }
  | { type: "event"; event: LamaEvent }
  | { type: "ended"; problem: Problem | null };
