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
  /** Takes back what was shared, that very version: nothing more is sent; what a contact has already he may keep. */
  | { type: "unshare"; root: string; with: string[] }
  | { type: "shared" }
  | { type: "connect"; person: string }
  | { type: "explain"; object: string; person: string }
  /** `set`: new limits in the place of all old ones. */
  | { type: "quota"; person: string; set?: QuotaLimits }
  | { type: "instances" }
  /** The three steps of a further instance of this person: see `Enrolling`. */
  | { type: "offerInstance" }
  | { type: "certifyInstance"; request: string; replace?: boolean }
  /** For good. `key` as the list of instances names it. */
  | { type: "revokeInstance"; key: string; reason?: string }
  /** Nothing is to be had from a person, and nothing goes there; live sessions end at once, and he is told nothing. */
  | { type: "block"; person: string }
  | { type: "unblock"; person: string }
  | { type: "blocked" }
  | { type: "routes" }
  /** All routes to a person, to an instance, or one as the list has it: what is off is not dialled, for good. */
  | ({ type: "setRoute"; on: boolean } & ({ person: string } | { instance: string } | { route: string }))
  /** Stands behind these relays (`lama relay run` prints an address), now and whenever it runs; best first. */
  | { type: "setRelays"; relays: string[] }
  | { type: "relays" }
  /** The network has changed, or this machine was asleep: everybody is tried at once. */
  | { type: "wake" }
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
  /** `stays`: objects that a contact has already, or that were on their way. */
  unshare: { takenBack: number; stays: number };
  shared: { items: SharedItem[] };
  connect: object;
  explain: { explanation: Explanation };
  quota: { quota: Quota };
  instances: { instances: OwnInstance[] };
  offerInstance: { file: string };
  certifyInstance: { file: string };
  revokeInstance: object;
  block: object;
  unblock: object;
  blocked: { people: Blocked[] };
  routes: { routes: Route[] };
  setRoute: object;
  setRelays: object;
  relays: { relays: Relay[] };
  wake: object;
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
  state: "inSync" | "syncing" | "pairing" | "connecting" | "waiting" | "unreachable" | "blocked" | "off";
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
  maxBytesPerHour: number | null;
  /** Whole days for which what he brought is kept. */
  days: number | null;
}

/** Left out: the store's own limit, and for `days`: for ever. */
export interface QuotaLimits {
  objects?: number;
  bytes?: number;
  bytesPerHour?: number;
  days?: number;
}

export interface OwnInstance {
  instance: string;
  name: string | null;
  /** For `revokeInstance`. */
  key: string;
  revoked: boolean;
  isThis: boolean;
}

export interface Blocked {
  person: string;
  /** Of a contact. */
  email: string | null;
}

export interface Route {
  /** Who is reached by it. */
  peer: Peer;
  route: string;
  relayed: boolean;
  /** What was switched off; `null`: it is dialled in its turn. */
  offBy: "person" | "instance" | "route" | null;
  /** Whether a session that this side dialled goes along it. */
  inUse: boolean;
}

export interface Relay {
  address: string;
  state: "registered" | "connecting" | "waiting" | "unneeded";
  /** What contacts are told while it is registered. */
  route: string;
  /** Connections that wait there for a call. */
  links: number;
  failures: number;
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
  /** Invitations and contacts lead through this relay, too, from now on. */
  | { type: "relayRegistered"; relay: string }
  /** `problem`: `null` where it was not reached; `pause`: milliseconds until it is tried again, `null`: not needed now. */
  | { type: "relayLost"; relay: string; problem: Problem | null; pause: number | null }
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
