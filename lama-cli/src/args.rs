//! The command line, as `clap` reads it. Nothing secret is ever an argument: every user of a machine can read those.

mod relay;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lama_relay::RelayAddress;

use crate::local::loopback;
use crate::page::origin;

pub(crate) use relay::{RelayAdd, RelayCommand, RelayRemove, RelayRun, RelaySetup};

/// Two instances meet, come to trust each other and keep their data in sync.
#[derive(Debug, Parser)]
#[command(name = "lama", version, max_term_width = 110, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Secrets come by environment, standard input or prompt: LAMA_PASSPHRASE or --passphrase-fd for the keys, LAMA_INVITATION or \
standard input for an invitation.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no instance here, 4 refused by this machine, 5 keys locked, 6 refused by \
the rules, 7 peer not reached, 8 timed out, 9 store damaged, 10 objects lost, 11 a check warns, 12 a check found a fault, 130 interrupted.";

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The data directory of the instance [default: the platform's, such as ~/.local/share/lama]
    #[arg(long, global = true, env = "LAMA_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The runtime below the sockets
    #[arg(long, global = true, env = "LAMA_RUNTIME", value_enum, default_value_t = RuntimeName::Tokio)]
    pub(crate) runtime: RuntimeName,
    /// Answer in JSON on standard output, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Nothing on standard error but errors
    #[arg(long, short, global = true, env = "LAMA_QUIET", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// No progress bars on standard error
    #[arg(long, global = true, env = "LAMA_NO_PROGRESS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_progress: bool,
    /// No QR codes
    #[arg(long, global = true, env = "LAMA_NO_QR", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_qr: bool,
    /// Read the passphrase from the first line of this file descriptor (0 is standard input)
    #[arg(long, global = true, value_name = "FD")]
    pub(crate) passphrase_fd: Option<u32>,
}

/// Which runtime runs the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeName {
    Tokio,
    Smol,
}

impl RuntimeName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Smol => "smol",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an instance: a person, an instance of that person, and their keys
    Init(Init),
    /// Show who this instance is
    Id,
    /// Change or take away the passphrase of the keys
    Passphrase(NewPassphrase),
    /// Invite someone: prints a link for the other side and, unless an instance runs, waits for it
    Invite(Invite),
    /// Take an invitation, from LAMA_INVITATION, standard input or a prompt
    Join(Join),
    /// List invitations and pairings that are not complete
    Pending,
    /// Let a pending pairing become a contact, after comparing the check code
    Approve(Person),
    /// Refuse a pending pairing on both sides
    Deny(Person),
    /// Take an invitation back
    Revoke(Revoke),
    /// Run the instance: listen, connect to contacts, sync, serve other commands
    Run(Run),
    /// A relay: through it instances are reached that nobody can dial
    #[command(subcommand)]
    Relay(RelayCommand),
    /// List contacts
    Contacts,
    /// Send a message to a contact
    Send(Send),
    /// Show messages: those of one contact, or all
    Log(Log),
    /// Put another text in the place of a message of yours
    Edit(Edit),
    /// Delete a message of yours
    Delete(Delete),
    /// Share a file or a folder with contacts
    Share(Share),
    /// Take back what you shared: nothing more of it is sent; what a contact has already stays there
    Unshare(Unshare),
    /// List what you share and what is shared with you
    Shared,
    /// Write something shared to a folder, or to standard output
    #[command(alias = "save")]
    Get(Get),
    /// Say why an object does not reach a person, or how far it has come
    Explain(Explain),
    /// Show or set how much of a contact is kept
    Quota(Quota),
    /// This person's own key: give it another one
    #[command(subcommand)]
    Person(PersonCommand),
    /// This person's instances: list them, add one by file, give one new keys, revoke one
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Show peers, path, what is to be sent and received, and state
    Status(StatusArgs),
    /// Ask the program at the other end for a sign of life, and show which way each answer took
    Ping(Ping),
    /// Look at everything that can be wrong, and say what to do; the exit code is the worst that was found
    Doctor(Doctor),
    /// Who may ask how this side sees their session (`lama doctor --peer` there); at first nobody
    #[command(subcommand)]
    Debug(DebugCommand),
    /// Serve a page for this machine alone that shows sessions, routes and what is shared, until Ctrl-C
    Inspect(Inspect),
    /// Write what helps to find a fault into a file, without secrets, texts and names
    DebugBundle(DebugBundle),
    /// End all sessions with a person and have none until `unblock`; the person is told nothing
    Block(Block),
    /// Let a blocked person connect again
    Unblock(Person),
    /// The ways to instances of contacts: list them, switch some on or off
    #[command(subcommand)]
    Route(RouteCommand),
    /// The store at rest: check, compact, back up, restore
    #[command(subcommand)]
    Store(StoreCommand),
    /// Two instances on this machine, one on smol and one on tokio: pair, talk, share a folder, stay in sync
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The person's e-mail address; the person's id follows from it
    pub(crate) email: String,
    /// The name of this instance [default: the machine's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Protect the keys by file permissions alone
    #[arg(long)]
    pub(crate) no_passphrase: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NewPassphrase {
    /// Take the passphrase away: file permissions alone protect the keys
    #[arg(long)]
    pub(crate) no_passphrase: bool,
    /// Read the new passphrase from the first line of this file descriptor [default: LAMA_NEW_PASSPHRASE or a prompt]
    #[arg(long, value_name = "FD")]
    pub(crate) new_passphrase_fd: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Listen {
    /// Where to listen on this machine; another free port is taken, and said, if this one is in use [default: where it
    /// listened last, the first time 8765]
    #[arg(long, value_name = "PORT", env = "LAMA_PORT")]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// `auto`: whoever holds the link becomes a contact. `confirm`: you compare a code and approve
    #[arg(long, value_enum, default_value_t = PolicyName::Auto)]
    pub(crate) policy: PolicyName,
    /// How long it can be taken, such as 15m or 24h (the longest)
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub(crate) lifetime: Duration,
    /// A note for yourself
    #[arg(long, default_value = "")]
    pub(crate) label: String,
    /// Only make the invitation; `lama run` serves it later
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    Auto,
    Confirm,
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// Refused: an invitation is a secret
    #[arg(hide = true)]
    pub(crate) link: Option<String>,
    /// Also dial addresses of the local network
    #[arg(long)]
    pub(crate) lan: bool,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Person {
    /// E-mail, or the beginning of the person's id
    pub(crate) person: String,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The invitation's locator, or its beginning, as `lama pending` shows it
    pub(crate) locator: String,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Do not listen: connect to contacts only
    #[arg(long)]
    pub(crate) no_listen: bool,
    /// Be reached through this relay, too, as `lama relay run` prints it; may be repeated, best first. It is kept
    /// until `lama relay remove`
    #[arg(long, value_name = "ADDRESS", value_parser = RelayAddress::parse)]
    pub(crate) relay: Vec<RelayAddress>,
    /// Find contacts on the local network and be found there by them, without telling anybody else who is there
    #[arg(long)]
    pub(crate) lan: bool,
    #[command(flatten)]
    pub(crate) web: Web,
    /// Serve figures for Prometheus at /metrics of this port, or address of this machine alone
    #[arg(long, value_name = "PORT|ADDR", value_parser = loopback)]
    pub(crate) metrics: Option<SocketAddr>,
    /// End when standard input ends; for a program that starts this one
    #[arg(long, hide = true)]
    pub(crate) while_stdin: bool,
}

/// What browsers may do at the listener.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Web {
    /// Serve a page at the listener's port that is an instance of its own in the browser, and print where it is
    #[arg(long)]
    pub(crate) web: bool,
    /// Pages of this site may connect, too, such as https://lama.example of a proxy; may be repeated [default: only
    /// pages of the listener's own port]
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) web_origin: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// E-mail of the contact, or the beginning of the person's id
    pub(crate) to: String,
    /// The message; `-` reads standard input
    pub(crate) text: String,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Whose channel: e-mail, or the beginning of the person's id [default: every channel]
    pub(crate) with: Option<String>,
    /// The most messages of a channel
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Only messages that you have not marked as read, in the order in which they arrived
    #[arg(long, conflicts_with = "before")]
    pub(crate) unread: bool,
    /// The messages right before this one: its name, as shown in front of it
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) before: Option<String>,
    /// Mark the channels that are shown as read, as they stand at this moment
    #[arg(long)]
    pub(crate) mark_read: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The message, as `lama log` names it
    pub(crate) message: String,
    /// The new text; `-` reads standard input
    pub(crate) text: String,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The message, as `lama log` names it
    pub(crate) message: String,
}

#[derive(Debug, Args)]
pub(crate) struct Share {
    /// The file or folder
    pub(crate) path: PathBuf,
    /// With whom: e-mail, or the beginning of an id; may be repeated [default: all contacts]
    #[arg(long, value_name = "PERSON")]
    pub(crate) with: Vec<String>,
    /// Show what is added and changed, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// Share a folder as it is now; later changes are not shared
    #[arg(long, conflicts_with = "watch")]
    pub(crate) once: bool,
    /// Do not keep the folder shared any longer; what was shared stays with those who have it
    #[arg(long, conflicts_with_all = ["watch", "once", "with"])]
    pub(crate) stop: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Unshare {
    /// What: the name that it was shared under, with all its versions, or the id of one
    pub(crate) what: String,
    /// From whom: e-mail, or the beginning of an id; may be repeated [default: from all]
    #[arg(long, value_name = "PERSON")]
    pub(crate) with: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// What: the name that it was shared under, or its id
    pub(crate) what: String,
    /// Where to: the folder that the shared folder becomes, or into which a file is put [default: here, under its name]
    pub(crate) dest: Option<PathBuf>,
    /// Who shared it, where several did: e-mail, or the beginning of the person's id
    #[arg(long, value_name = "PERSON")]
    pub(crate) from: Option<String>,
    /// Only this file or folder in the shared folder
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<String>,
    /// Replace files that have another content
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the content of one file here instead; `-` is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "dest")]
    pub(crate) output: Option<PathBuf>,
    /// Only these bytes of it, both included and counted from 0: A-B, or A- for all from there on
    #[arg(long, value_name = "A-B", requires = "output", value_parser = byte_range)]
    pub(crate) range: Option<(u64, Option<u64>)>,
}

/// `A-B`, both included, or `A-`: where it starts, and where it ends (the first byte not in it).
fn byte_range(text: &str) -> Result<(u64, Option<u64>), String> {
    let wrong = || "a range is A-B or A-, in bytes counted from 0".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let first: u64 = first.parse().map_err(|_| wrong())?;
    if last.is_empty() {
        return Ok((first, None));
    }
    let last: u64 = last.parse().map_err(|_| wrong())?;
    if last < first { Err(wrong()) } else { Ok((first, Some(last.saturating_add(1)))) }
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read everything, hash it again and hold every index against it; also while the instance runs
    Check(Check),
    /// Give room back that is not used any more, that of deleted objects included; needs room for a copy
    Compact(Compact),
    /// Write all that this instance is, keys included, into one file under a passphrase of its own
    Export(Export),
    /// Make this instance from a backup, in an empty data directory
    Import(Import),
}

#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// Delete before what nobody holds any more: what was taken back from everybody, and what removed contacts brought
    #[arg(long)]
    pub(crate) collect: bool,
    /// Only say what `--collect` would delete
    #[arg(long, requires = "collect")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// Give this person another signing key, signed by the old one and the new one; contacts follow
    Rotate,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    /// List this person's instances, and where a revocation has arrived
    List,
    /// Write what a new device has to know before it can ask: the first of three files, none of them secret
    Offer {
        /// The file to write
        file: PathBuf,
    },
    /// On the new device, with an empty data directory: make its keys and ask to be certified
    Request {
        /// What `lama instance offer` wrote
        offer: PathBuf,
        /// The file to write
        file: PathBuf,
        /// The name of the new instance
        #[arg(long)]
        name: String,
        /// Protect the keys by file permissions alone
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Certify what a new device asks for
    Certify {
        /// What `lama instance request` wrote
        request: PathBuf,
        /// The file to write; it names this person's contacts
        file: PathBuf,
    },
    /// On the new device: take the certificate, and be an instance of this person
    Accept {
        /// What `lama instance certify` wrote
        certificate: PathBuf,
    },
    /// Give this instance new keys, and revoke the old ones; contacts follow, and open invitations end
    Rotate,
    /// Revoke another instance for good; contacts refuse it as soon as they hear of it
    Revoke {
        /// Its name, or the beginning of its key
        instance: String,
        /// Why, for people
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Mend what can be computed from the logs; the instance must not run
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file to write; nothing is overwritten
    pub(crate) file: PathBuf,
    /// Read the backup's passphrase from the first line of this file descriptor [default: LAMA_BACKUP_PASSPHRASE or a
    /// prompt]
    #[arg(long, value_name = "FD")]
    pub(crate) backup_passphrase_fd: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The backup
    pub(crate) file: PathBuf,
    /// Read the backup's passphrase from the first line of this file descriptor [default: LAMA_BACKUP_PASSPHRASE or a
    /// prompt]
    #[arg(long, value_name = "FD")]
    pub(crate) backup_passphrase_fd: Option<u32>,
    /// Protect the restored keys by file permissions alone
    #[arg(long)]
    pub(crate) no_passphrase: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Stay, and show every change until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also ask the other side of a session how it sees it; it has to allow that (`lama debug allow` there). E-mail, the
    /// beginning of the person's or instance's id, or the instance's name
    #[arg(long, value_name = "PEER")]
    pub(crate) peer: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// List who may ask
    List,
    /// Let a contact ask, until `deny`: it is told times, versions and codes, and nothing of others
    Allow(Person),
    /// Take that back
    Deny(Person),
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A port, or an address of this machine alone [default: any free port]
    #[arg(long, value_name = "PORT|ADDR", default_value = "0", value_parser = loopback)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct DebugBundle {
    /// The file to write; nothing is overwritten
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Block {
    /// E-mail, or the beginning of a contact's id [default: list who is blocked]
    pub(crate) person: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List them, and whether they are dialled
    List,
    /// Dial them again
    Enable(Which),
    /// Do not dial them; whoever is reached by them may still dial this side
    Disable(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// A person (e-mail or the beginning of the id), an instance (its name or the beginning of its id), or a route as
    /// `lama route list` shows it
    pub(crate) which: String,
}

#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// Whom: e-mail, the beginning of the person's or instance's id, or the instance's name
    pub(crate) peer: String,
    /// How many times, a second apart
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) number: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The id of the object, as `lama log` and `lama share` show it
    pub(crate) object: String,
    /// Who does not get it: e-mail, or the beginning of the person's id
    pub(crate) person: String,
}

#[derive(Debug, Args)]
pub(crate) struct Quota {
    /// Whose: e-mail, or the beginning of the person's id
    pub(crate) person: String,
    /// The most objects of that person that are kept
    #[arg(long, value_name = "N")]
    pub(crate) objects: Option<u64>,
    /// The most bytes of them
    #[arg(long, value_name = "BYTES")]
    pub(crate) bytes: Option<u64>,
    /// The most bytes that the person may bring in an hour
    #[arg(long, value_name = "BYTES")]
    pub(crate) hourly: Option<u64>,
    /// For how many days what the person brings is kept, messages apart [default: for ever]
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<u64>,
    /// Only the store's own limits from now on
    #[arg(long, conflicts_with_all = ["objects", "bytes", "hourly", "days"])]
    pub(crate) none: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The folder to share [default: the files of the git repository here, or else of this directory]
    pub(crate) folder: Option<PathBuf>,
    /// End when everything is in sync and shown, as for CI
    #[arg(long)]
    pub(crate) once: bool,
    /// Forget the instances of earlier runs and begin anew
    #[arg(long)]
    pub(crate) fresh: bool,
    /// The other instance is a page in the browser, served by this one
    #[arg(long)]
    pub(crate) web: bool,
}

/// `90s`, `15m`, `24h` or plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a time is a number and s, m or h, such as 15m".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a time begins with a number, such as 15m".to_owned())?;
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(|| "this time is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges() {
        assert_eq!(byte_range("0-0"), Ok((0, Some(1))));
        assert_eq!(byte_range("5-"), Ok((5, None)));
        assert_eq!(byte_range("5-18446744073709551615"), Ok((5, Some(u64::MAX))));
        for text in ["", "-", "-5", "5", "6-5", "a-b", "1-2-3"] {
            assert!(byte_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for text in ["", "m", "15d", "-1s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
