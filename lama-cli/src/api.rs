//! What commands ask of an instance and what it answers: the same whether it runs in this process or is asked at its
//! control socket, and the same that `--json` shows. Fields are only ever added.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

/// One thing asked of an instance. Persons are given by e-mail or the beginning of their id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Request {
    /// A new invitation, for `lifetime` seconds. Answer: [`Invited`].
    Invite { confirm: bool, lifetime: u64, label: String },
    /// Takes an invitation and waits up to `timeout` seconds. Events while it waits. Answer: [`Contact`].
    Join { link: String, lan: bool, timeout: u64 },
    /// Waits until the invitation led to a contact. Events while it waits. Answer: [`Contact`].
    Await { locator: String },
    /// Answer: [`Relays`].
    Relays,
    /// Puts a relay behind those of the list, or in front of them, at once and for good. Answer: [`Relays`].
    AddRelay { relay: String, first: bool },
    /// Takes a relay out of the list, by its address or host. Answer: [`Relays`].
    RemoveRelay { relay: String },
    /// Answer: [`PendingList`].
    Pending,
    /// Answer: [`Done`].
    Approve { person: String },
    /// Answer: [`Done`].
    Deny { person: String },
    /// Answer: [`Done`].
    Revoke { locator: String },
    /// Answer: [`Contacts`].
    Contacts,
    /// Answer: [`Sent`].
    Send { to: String, text: String },
    /// Messages of one channel or of all. Answer: [`Messages`].
    Log {
        with: Option<String>,
        limit: usize,
        #[serde(default)]
        unread: bool,
        #[serde(default)]
        before: Option<String>,
        #[serde(default)]
        mark_read: bool,
    },
    /// Puts another text in the place of an own message. Answer: [`Amended`].
    Edit { message: String, text: String },
    /// Deletes an own message. Answer: [`Amended`].
    Delete { message: String },
    /// Shares what lies at an absolute path; `watch`: goes on until the other side hangs up. Answer: [`Shared`].
    /// `keep`: a folder stays shared whenever the instance runs.
    Share {
        path: String,
        with: Vec<String>,
        watch: bool,
        #[serde(default)]
        keep: bool,
    },
    /// Takes back what was shared under a name, or as an id; from all where nobody is named. Answer: [`Withdrawn`].
    Withdraw { what: String, with: Vec<String> },
    /// A folder is not kept shared any longer. Answer: [`Done`].
    Unshare { path: String },
    /// Answer: [`SharedList`].
    Shared,
    /// Writes a shared file or folder to an absolute path; `named`: below it, under its own name. Answer: [`Saved`].
    Get { what: String, from: Option<String>, file: Option<String>, into: String, named: bool, force: bool },
    /// Reads a file or a part of it: `{"data": base64}` events, in order. Answer: [`Saved`].
    Read { what: String, from: Option<String>, file: Option<String>, start: u64, end: Option<u64> },
    /// Answer: [`Explanation`].
    Explain { object: String, person: String },
    /// Sets limits where `set` says so: those that are not given are the store's own. Answer: [`Quota`].
    Quota {
        person: String,
        set: bool,
        objects: Option<u64>,
        bytes: Option<u64>,
        hourly: Option<u64>,
        #[serde(default)]
        days: Option<u64>,
    },
    /// This person's instances. Answer: [`Instances`].
    Instances,
    /// Answer: [`InstanceFile`].
    OfferInstance,
    /// `request`: base64. Answer: [`InstanceFile`].
    CertifyInstance { request: String },
    /// New keys for the instance that is asked, which starts anew with them. Answer: [`Rotated`].
    RotateInstance { passphrase: Option<Hidden> },
    /// Another signing key for the person; the instance starts anew with it. Answer: [`Rotated`].
    RotatePerson { passphrase: Option<Hidden> },
    /// By name or the beginning of the key. Answer: [`Instances`].
    RevokeInstance { which: String, reason: String },
    /// Answer: [`Status`].
    Status,
    /// `{"type": "status", ...}` events, one at once and one whenever something has changed, until the other side hangs
    /// up. Answer: [`Done`].
    Watch,
    /// Asks the connected instances of a contact, or the one that is named, for a sign of life. Answer: [`Pongs`].
    Ping { peer: String },
    /// What is wrong, and what to do. Answer: [`Health`].
    Health,
    /// How the instances of a contact, or the one that is named, see their sessions. Answer: [`PeerViews`].
    PeerHealth { peer: String },
    /// Whether a contact may ask that here. Answer: [`AllowedList`].
    AllowDebug { person: String, allow: bool },
    /// Answer: [`AllowedList`].
    DebugAllowed,
    /// Answer: [`Done`].
    Block { person: String },
    /// Answer: [`Done`].
    Unblock { person: String },
    /// Answer: [`BlockedList`].
    Blocked,
    /// Answer: [`Routes`].
    Routes,
    /// Switches routes on or off: those of a person, of an instance, or one. Answer: [`Routes`].
    SetRoute { which: String, on: bool },
    /// What helps to find a fault, without what names people. Answer: a JSON object for people who read code.
    Bundle,
    /// The network has changed. Answer: [`Done`].
    Wake,
    /// Walks the whole store. Answer: [`Checked`].
    Check,
    /// Ends the instance. Answer: [`Done`].
    Stop,
}

/// Who an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Id {
    pub(crate) email: String,
    pub(crate) person: String,
    pub(crate) name: String,
    pub(crate) instance: String,
    /// SHA-256 of the person's signing key, to be compared by voice.
    pub(crate) fingerprint: String,
    /// The instance's key for handshakes, as invitations carry it.
    pub(crate) instance_key: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) created: u64,
    /// Whether a passphrase protects the keys.
    pub(crate) passphrase: bool,
    pub(crate) data: String,
}

/// A new invitation. `link` is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invited {
    pub(crate) link: String,
    pub(crate) locator: String,
    /// Seconds since the Unix epoch.
    pub(crate) expires: u64,
    pub(crate) confirm: bool,
    pub(crate) urls: Vec<String>,
}

/// An invitation as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) locator: String,
    pub(crate) state: String,
    pub(crate) label: String,
    pub(crate) expires: u64,
    pub(crate) confirm: bool,
}

/// Behind which relays an instance stands, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relays {
    pub(crate) relays: Vec<String>,
}

/// What is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingList {
    pub(crate) invitations: Vec<Invitation>,
    pub(crate) pairings: Vec<Pairing>,
}

/// A pairing that is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pairing {
    pub(crate) person: String,
    pub(crate) email: String,
    pub(crate) instance_name: String,
    pub(crate) fingerprint: String,
    pub(crate) check_code: Option<String>,
    /// `our_approval` (`lama approve` or `lama deny`), `their_approval` or `peer`.
    pub(crate) waits_for: String,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) person: String,
    pub(crate) email: String,
    /// `active` or `pending`.
    pub(crate) state: String,
    pub(crate) fingerprint: String,
    pub(crate) check_code: Option<String>,
    pub(crate) instances: Vec<ContactInstance>,
}

/// One instance of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContactInstance {
    pub(crate) instance: String,
    pub(crate) name: String,
    pub(crate) url: Option<String>,
    pub(crate) connected: bool,
}

/// Contacts, by e-mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contacts {
    pub(crate) contacts: Vec<Contact>,
}

/// A message that is durable here, and on its way if the contact is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) connected: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) email: String,
    /// Milliseconds since the Unix epoch, by the author's clock.
    pub(crate) time: u64,
    pub(crate) text: String,
    /// What was shared with it.
    pub(crate) attachment: Option<String>,
    /// When its author put this text in the place of an earlier one.
    #[serde(default)]
    pub(crate) edited: Option<u64>,
    /// When its author deleted it; its text is empty then.
    #[serde(default)]
    pub(crate) deleted: Option<u64>,
    /// Whether it came from somebody else and was not marked as read.
    #[serde(default)]
    pub(crate) unread: bool,
}

/// A message that was edited or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amended {
    /// The message.
    pub(crate) id: String,
    /// The entry that says so.
    pub(crate) by: String,
}

/// Messages of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Channel {
    pub(crate) channel: String,
    /// E-mails of the members other than this person.
    pub(crate) with: Vec<String>,
    /// How many messages of others are unread, shown here or not.
    #[serde(default)]
    pub(crate) unread: u64,
    pub(crate) messages: Vec<Message>,
}

/// Channels with their messages, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Messages {
    pub(crate) channels: Vec<Channel>,
}

/// What was shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) with: Vec<String>,
    /// Files that are not shared: a name that cannot be stored everywhere, or no right to read them.
    #[serde(default)]
    pub(crate) left_out: u64,
    /// The first of them.
    #[serde(default)]
    pub(crate) left_out_first: Vec<String>,
    /// Whether it stays shared whenever the instance runs.
    #[serde(default)]
    pub(crate) kept: bool,
}

/// What is shared, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SharedList {
    /// The newest version of each, by name and person.
    pub(crate) items: Vec<SharedItem>,
    /// Folders that stay shared whenever the instance runs.
    pub(crate) kept: Vec<String>,
}

/// What became of a share that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Withdrawn {
    /// From whom, by e-mail.
    pub(crate) with: Vec<String>,
    /// Versions of it that were shared.
    pub(crate) versions: u64,
    /// Objects that nobody of them had got yet.
    pub(crate) taken_back: u64,
    /// Objects that were sent already.
    pub(crate) stays: u64,
}

/// A shared file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SharedItem {
    pub(crate) name: String,
    /// `file` or `folder`.
    pub(crate) kind: String,
    pub(crate) bytes: u64,
    /// Who shared it, by e-mail.
    pub(crate) by: String,
    /// Milliseconds since the Unix epoch, by that person's clock.
    pub(crate) time: u64,
    pub(crate) id: String,
}

/// What was written by `lama get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) into: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// How many of the files were there already.
    #[serde(default)]
    pub(crate) kept: u64,
}

/// Where an object stands with a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) object: String,
    pub(crate) person: String,
    pub(crate) email: String,
    /// `not_a_contact`, `not_here`, `set_aside`, `tombstone`, `not_shared`, `pending`, `sent`, `over_quota`, `refused`,
    /// `acknowledged` or `from_them`.
    pub(crate) standing: String,
    /// For `over_quota` and `refused`: the rule, `quota`, `policy`, `malformed` or a number.
    pub(crate) rule: Option<String>,
    /// Whether it was shared by itself, apart from access rules.
    pub(crate) direct: bool,
    pub(crate) instances: Vec<InstanceStanding>,
    pub(crate) rules: Vec<AccessRule>,
}

/// The same for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceStanding {
    pub(crate) instance: String,
    pub(crate) standing: String,
}

/// An access rule that speaks of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessRule {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) in_effect: bool,
    /// Whether it names the person.
    pub(crate) names: bool,
}

/// What is kept of a contact, and how much may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quota {
    pub(crate) person: String,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) refused: u64,
    pub(crate) max_objects: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_bytes_per_hour: Option<u64>,
    /// Days for which it is kept.
    pub(crate) days: Option<u64>,
}

/// A peer as the node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) person: String,
    pub(crate) email: String,
    pub(crate) instance: String,
    /// `direct`, `relay` or `none`.
    pub(crate) path: String,
    pub(crate) state: String,
    pub(crate) dialled: bool,
    /// Entries of the common view and their fingerprint under the key of the pair, when both ends last held the same.
    pub(crate) count: Option<u64>,
    pub(crate) fingerprint: Option<String>,
    /// Entries; `null` before it is known.
    pub(crate) to_send: Option<u64>,
    pub(crate) to_receive: Option<u64>,
    /// What went over the present connection.
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) frames_sent: u64,
    pub(crate) frames_received: u64,
    pub(crate) round_trips_to_authenticated: Option<u32>,
    pub(crate) round_trips_to_first_object: Option<u32>,
    /// Milliseconds since the Unix epoch.
    pub(crate) last_seen: Option<u64>,
    /// What the peer's person calls it.
    #[serde(default)]
    pub(crate) name: String,
    /// Where it is reached; `null`: nowhere.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// How often it was dialled in vain since it was last reached.
    #[serde(default)]
    pub(crate) failures: u32,
    /// Why it was not reached the last time, or why the last session ended: a stable code, and words.
    #[serde(default)]
    pub(crate) problem: Option<Problem>,
    /// In so many milliseconds it is dialled again.
    #[serde(default)]
    pub(crate) again: Option<u64>,
    /// Milliseconds of the last round trip to the program at the other end.
    #[serde(default)]
    pub(crate) round_trip: Option<f64>,
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// The worst of all: `good`, `warning` or `error`.
    pub(crate) severity: String,
    /// The worst first.
    pub(crate) items: Vec<HealthItem>,
    /// What the other side says, where it was asked (`--peer`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) peers: Vec<PeerView>,
}

/// What instances of a contact say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerViews {
    pub(crate) peers: Vec<PeerView>,
}

/// What one instance says of itself and of the session, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerView {
    pub(crate) person: String,
    pub(crate) email: String,
    pub(crate) instance: String,
    pub(crate) name: String,
    /// `null`: it said nothing; `items` says why.
    pub(crate) seen: Option<SeenThere>,
    /// The worst first.
    pub(crate) items: Vec<HealthItem>,
}

/// A session as the other side sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeenThere {
    /// By how many milliseconds its clock is ahead of this one's.
    pub(crate) clock_ahead: i64,
    /// Milliseconds from the question to the answer.
    pub(crate) round_trip: f64,
    /// The last round trip that it has measured, in milliseconds.
    pub(crate) their_round_trip: Option<f64>,
    pub(crate) program: String,
    /// Lowest and highest version of the protocol.
    pub(crate) versions: [u16; 2],
    /// For how many milliseconds the session has been up.
    pub(crate) age: u64,
    /// `direct` or `relay`.
    pub(crate) path: String,
    /// Whether it dialled.
    pub(crate) dialled: bool,
    pub(crate) in_sync: bool,
    /// How many entries of this person's log it has, of how many.
    pub(crate) entries: u64,
    pub(crate) of_entries: u64,
}

/// Who may ask how this side sees a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllowedList {
    pub(crate) allowed: Vec<BlockedPerson>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthItem {
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) text: String,
    /// `good`, `warning` or `error`.
    pub(crate) severity: String,
    /// Empty where nothing has to be done.
    pub(crate) remedy: String,
    /// Whom it is about, if it is about a contact.
    pub(crate) person: Option<String>,
}

/// Who is blocked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockedList {
    pub(crate) blocked: Vec<BlockedPerson>,
}

/// A person of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockedPerson {
    pub(crate) person: String,
    /// `null` for whoever is no contact.
    pub(crate) email: Option<String>,
}

/// Routes to instances of contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Routes {
    pub(crate) routes: Vec<Route>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) person: String,
    pub(crate) email: String,
    pub(crate) instance: String,
    pub(crate) name: String,
    pub(crate) route: String,
    /// `direct` or `relay`.
    pub(crate) path: String,
    pub(crate) on: bool,
    /// What switches it off: `person`, `instance` or `route`.
    pub(crate) off_by: Option<String>,
    /// Whether a session that was dialled here goes along it.
    pub(crate) in_use: bool,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Signs of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pongs {
    pub(crate) pongs: Vec<Pong>,
}

/// An answer of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pong {
    pub(crate) person: String,
    pub(crate) email: String,
    pub(crate) instance: String,
    pub(crate) name: String,
    /// `direct` or `relay`.
    pub(crate) path: String,
    /// The route, where this side dialled.
    pub(crate) url: Option<String>,
    /// Milliseconds to the program at the other end and back.
    pub(crate) round_trip: f64,
}

/// The instance as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) running: bool,
    pub(crate) runtime: String,
    pub(crate) urls: Vec<String>,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) peers: Vec<Peer>,
    /// Whether this machine seems to have no network.
    #[serde(default)]
    pub(crate) offline: bool,
}

/// Where a relay runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RelayAt {
    pub(crate) running: bool,
    /// What `lama run` is given so as to stand behind it.
    pub(crate) option: String,
    pub(crate) address: String,
    /// The socket's own address.
    pub(crate) listen: String,
}

/// What an integrity walk went through; all of it was sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub(crate) sound: bool,
    /// Records in the object log.
    pub(crate) records: u64,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Entries in all views.
    pub(crate) entries: u64,
}

/// What a repair changed; the store is sound now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mended {
    pub(crate) sound: bool,
    /// Entries of the index.
    pub(crate) index: u64,
    pub(crate) views: u64,
    pub(crate) counts: bool,
    pub(crate) channels: u64,
    /// Records that were damaged and are left out.
    pub(crate) damaged: u64,
    /// Objects of views whose bytes are lost.
    pub(crate) lost: u64,
}

/// Lengths of the store's file in bytes, and what went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compacted {
    pub(crate) before: u64,
    pub(crate) after: u64,
    /// Objects that nobody held any more, and that were deleted (or would be).
    pub(crate) collected: u64,
    /// Their bytes.
    pub(crate) collected_bytes: u64,
    /// Deleted objects whose bytes were still kept, those just collected included.
    pub(crate) dropped: u64,
    /// Those bytes.
    pub(crate) dropped_bytes: u64,
}

/// A backup that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exported {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// Rows of the store in it.
    pub(crate) rows: u64,
}

/// An instance that was made from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub(crate) id: Id,
    /// Rows of the store.
    pub(crate) rows: u64,
    /// Invitations that were open when the backup was made, and are no more.
    pub(crate) revoked: u64,
}

/// A text that is wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hidden(pub(crate) String);

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// An instance that is about to start anew with other keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotated {
    /// The instance's Noise key from now on, in hexadecimal.
    pub(crate) key: String,
    /// The person's fingerprint from now on.
    pub(crate) fingerprint: String,
}

/// A file for another instance of the same person, in base64. Not secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceFile {
    pub(crate) file: String,
}

/// This person's instances, and how far the log that says so has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instances {
    /// Entries of the log.
    pub(crate) entries: u64,
    /// The person's fingerprint.
    #[serde(default)]
    pub(crate) fingerprint: String,
    pub(crate) instances: Vec<OwnInstance>,
    /// Living instances of contacts.
    pub(crate) reached: Vec<Reached>,
}

/// One key of one of this person's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnInstance {
    /// `null` where the name was never told here.
    pub(crate) name: Option<String>,
    pub(crate) key: String,
    /// Whether it is the instance that answers.
    pub(crate) this: bool,
    /// Its entry in the log.
    pub(crate) certified: u64,
    /// The entry that revokes it.
    pub(crate) revoked: Option<u64>,
    /// Whether the instance has another key in its place.
    #[serde(default)]
    pub(crate) replaced: bool,
    /// At how many instances of contacts the revocation has arrived, of how many.
    pub(crate) arrived: Option<u64>,
    pub(crate) of: Option<u64>,
}

/// How far the log has come at an instance of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) person: String,
    pub(crate) email: String,
    pub(crate) instance: String,
    /// The last entry that it has acknowledged.
    pub(crate) entries: u64,
    pub(crate) connected: bool,
    /// Milliseconds since the Unix epoch.
    pub(crate) last_seen: Option<u64>,
}

/// Nothing but success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) done: bool,
}
