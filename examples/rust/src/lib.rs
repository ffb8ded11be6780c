//! What the programs beside this file have in common: who somebody is, where his things are kept, and three commands.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use lama_core::{Seed, WallTime};
use lama_identity::{LocalIdentity, PersonId};
use lama_invite::{DialRules, LAMA_BASE, Policy};
use lama_node::{Command, Event, Reply};
use lama_store::{Config, Memory, Opening, StorageKey, Store};

/// Whatever goes wrong: every error of LAMA says what happened and what to do.
pub type Failure = Box<dyn Error + Send + Sync>;

/// 32 random bytes for one use.
///
/// # Errors
/// The operating system's.
#[allow(clippy::disallowed_methods)] // The crates take entropy as an argument: here is where it comes from.
pub fn entropy() -> Result<Seed, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Seed::take(&mut bytes))
}

/// The time of day.
#[must_use]
#[allow(clippy::disallowed_methods)] // The same for time.
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A new person with one instance, and a store in memory; on disk it is `Redb::open(path, Default::default())?` instead of
/// `Memory::default()`, with a `StorageKey` that is kept in a key file.
///
/// # Errors
/// What is wrong with the address.
pub fn somebody(email: &str) -> Result<(LocalIdentity, Store<Memory>), Failure> {
    let identity = LocalIdentity::create(email.parse()?, "example", entropy()?, wall())?;
    let key = StorageKey::from_seed(entropy()?);
    let store = Store::open(Memory::default(), Config::default(), &key, entropy()?, Opening::Normal)?;
    Ok((identity, store))
}

/// Asks for an invitation, good once for a quarter of an hour.
///
/// # Errors
/// The operating system's.
pub fn invite() -> Result<Command, Failure> {
    Ok(Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed: entropy()? })
}

/// The link of the invitation: a secret, to be given to one person.
///
/// # Errors
/// For another reply.
pub fn link(reply: Reply) -> Result<String, Failure> {
    let Reply::Invitation { invitation, .. } = reply else { return Err("that is no invitation".into()) };
    Ok(invitation.to_link(LAMA_BASE)?.to_string())
}

/// Takes an invitation that the user handed over.
#[must_use]
pub fn join(link: String) -> Command {
    Command::Join { link: link.into(), rules: DialRules::default() }
}

/// Writes to a contact.
#[must_use]
pub fn say(to: PersonId, text: &str) -> Command {
    Command::Send { to, channel: None, text: text.to_owned() }
}

/// The text of a message that arrived.
#[must_use]
pub fn text(event: &Event) -> Option<&str> {
    if let Event::Message(entry) = event { Some(entry.text.as_str()) } else { None }
}
