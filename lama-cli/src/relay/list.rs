//! The relays behind which an instance stands whenever it runs: a list in its store, best first.

use bytes::Bytes;
use lama_host::DataDir;
use lama_host::control::Client;
use lama_node::NodeError;
use lama_relay::{RelayAddress, signed_host};
use lama_store::{Engine, Opening, Read, Reply, Store, Write};

use super::homes;
use crate::api::{Relays, Request};
use crate::args::{Global, RelayAdd, RelayRemove};
use crate::backend::{self, Backend};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::start::Network;
use crate::{atrest, identity};

/// The setting: an address a line.
pub(crate) const LIST: &str = "relays";

/// The list that the setting holds.
pub(crate) fn parse(kept: Option<&[u8]>) -> Result<Vec<RelayAddress>, Failure> {
    let damaged =
        || Failure::new(Exit::Damaged, "relay-list", "the list of relays is damaged; add them again");
    let text = core::str::from_utf8(kept.unwrap_or_default()).map_err(|_| damaged())?;
    text.lines().map(RelayAddress::parse).collect::<Result<_, _>>().map_err(|_| damaged())
}

/// What the setting holds of a list.
pub(crate) fn lines(list: &[RelayAddress]) -> Bytes {
    Bytes::from(row(list).relays.join("\n"))
}

/// The list as it is shown.
pub(crate) fn row(list: &[RelayAddress]) -> Relays {
    Relays { relays: list.iter().map(ToString::to_string).collect() }
}

/// An address as `lama relay run` prints it.
pub(crate) fn address(text: &str) -> Result<RelayAddress, Failure> {
    RelayAddress::parse(text).map_err(|error| Failure::usage(format!("{text}: {error}")))
}

/// The list with one more. A relay that is named with another address of the same key has moved.
pub(crate) fn added(list: &[RelayAddress], relay: &RelayAddress, first: bool) -> Vec<RelayAddress> {
    let mut list: Vec<_> = list.iter().filter(|known| known.pin != relay.pin).cloned().collect();
    list.insert(if first { 0 } else { list.len() }, relay.clone());
    list
}

/// The list without the one that `which` names, by its address or its host.
pub(crate) fn removed(list: &[RelayAddress], which: &str) -> Result<Vec<RelayAddress>, Failure> {
    let host = signed_host(which);
    let is_meant = |known: &&RelayAddress| known.to_string() == which || known.signed_host() == host;
    match list.iter().filter(is_meant).count() {
        1 => Ok(list.iter().filter(|known| !is_meant(known)).cloned().collect()),
        0 => Err(Failure::usage(format!("{which} is not in the list; see `lama relay list`"))),
        _ => Err(Failure::usage(format!(
            "several relays are at {which}; name one by its whole address, as `lama relay list` shows it"
        ))),
    }
}

fn kept<E: Engine>(store: &mut Store<E>) -> Result<Vec<RelayAddress>, Failure> {
    match store.ask(Read::Setting(LIST.into())).map_err(NodeError::from)? {
        Reply::Setting(kept) => parse(kept.as_deref()),
        _ => Ok(Vec::new()),
    }
}

fn keep<E: Engine>(store: &mut Store<E>, list: &[RelayAddress]) -> Result<(), Failure> {
    let value = Some(lines(list));
    store.commit(vec![Write::Setting { key: LIST.into(), value }]).map_err(NodeError::from)?;
    Ok(())
}

/// Those that are named, and behind them those that are kept; all are kept from then on. A relay that is named with another
/// address of the same key has moved.
pub(crate) fn with<E: Engine>(
    store: &mut Store<E>,
    named: &[RelayAddress],
) -> Result<Vec<RelayAddress>, Failure> {
    let before = kept(store)?;
    let mut list = named.to_vec();
    list.extend(before.iter().filter(|known| !named.iter().any(|relay| relay.pin == known.pin)).cloned());
    // What is named twice is refused before anything is kept.
    homes(store, &list)?;
    if list != before {
        keep(store, &list)?;
    }
    Ok(list)
}

/// `lama relay list`.
pub(super) fn show(global: &Global, output: Output) -> Result<(), Failure> {
    let relays = ask_or(global, &Request::Relays, |list| Ok(list.to_vec()))?;
    tell(&relays, output);
    Ok(())
}

/// `lama relay add`.
pub(super) fn add(global: &Global, add: &RelayAdd, output: Output) -> Result<(), Failure> {
    let request = Request::AddRelay { relay: add.relay.to_string(), first: add.first };
    let relays = ask_or(global, &request, |list| Ok(added(list, &add.relay, add.first)))?;
    tell(&relays, output);
    Ok(())
}

/// `lama relay remove`.
pub(super) fn remove(global: &Global, remove: &RelayRemove, output: Output) -> Result<(), Failure> {
    let request = Request::RemoveRelay { relay: remove.relay.clone() };
    let relays = ask_or(global, &request, |list| removed(list, &remove.relay))?;
    tell(&relays, output);
    Ok(())
}

/// Asks the instance if it runs, so that the change takes effect at once; else changes what is kept.
fn ask_or(
    global: &Global,
    request: &Request,
    work: impl FnOnce(&[RelayAddress]) -> Result<Vec<RelayAddress>, Failure>,
) -> Result<Relays, Failure> {
    let dir = DataDir::open(&identity::data_path(global)?)?;
    if Client::connect(&dir).is_some() {
        return Backend::open(global, Network::Offline)?.ask(request, &mut |_| {});
    }
    let lock = backend::lock(&dir)?;
    let keys = identity::Keys::open(&dir, &lock, global.passphrase_fd)?;
    let mut store = atrest::open_store(&dir.store(), &keys.storage()?, Opening::Normal)?;
    let before = kept(&mut store)?;
    let list = work(&before)?;
    if list != before {
        keep(&mut store, &list)?;
    }
    Ok(row(&list))
}

fn tell(relays: &Relays, output: Output) {
    output.answer(relays, |relays| match relays.relays.as_slice() {
        [] => "no relays\n".to_owned(),
        list => list.iter().map(|relay| format!("{relay}\n")).collect(),
    });
}
