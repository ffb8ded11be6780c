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
const LIST: &str = "relays";

fn kept<E: Engine>(store: &mut Store<E>) -> Result<Vec<RelayAddress>, Failure> {
    let Reply::Setting(Some(kept)) = store.ask(Read::Setting(LIST.into())).map_err(NodeError::from)? else {
        return Ok(Vec::new());
    };
    let damaged =
        || Failure::new(Exit::Damaged, "relay-list", "the list of relays is damaged; add them again");
    let text = core::str::from_utf8(&kept).map_err(|_| damaged())?;
    text.lines().map(RelayAddress::parse).collect::<Result<_, _>>().map_err(|_| damaged())
}

fn keep<E: Engine>(store: &mut Store<E>, list: &[RelayAddress]) -> Result<(), Failure> {
    let lines: Vec<String> = list.iter().map(ToString::to_string).collect();
    let value = Some(Bytes::from(lines.join("\n")));
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
    let dir = DataDir::open(&identity::data_path(global)?)?;
    let relays = if Client::connect(&dir).is_some() {
        Backend::open(global, Network::Offline)?.ask(&Request::Relays, &mut |_| {})?
    } else {
        change(global, |list| Ok(list.clone()))?
    };
    tell(&relays, output);
    Ok(())
}

/// `lama relay add`.
pub(super) fn add(global: &Global, add: &RelayAdd, output: Output) -> Result<(), Failure> {
    let relays = change(global, |list| {
        let mut list: Vec<_> = list.iter().filter(|known| known.pin != add.relay.pin).cloned().collect();
        list.insert(if add.first { 0 } else { list.len() }, add.relay.clone());
        Ok(list)
    })?;
    tell(&relays, output);
    Ok(())
}

/// `lama relay remove`.
pub(super) fn remove(global: &Global, remove: &RelayRemove, output: Output) -> Result<(), Failure> {
    let relays = change(global, |list| {
        let host = signed_host(&remove.relay);
        let is_meant =
            |known: &&RelayAddress| known.to_string() == remove.relay || known.signed_host() == host;
        match list.iter().filter(is_meant).count() {
            1 => Ok(list.iter().filter(|known| !is_meant(known)).cloned().collect()),
            0 => Err(Failure::usage(format!("{} is not in the list; see `lama relay list`", remove.relay))),
            _ => Err(Failure::usage(format!(
                "several relays are at {}; name one by its whole address, as `lama relay list` shows it",
                remove.relay
            ))),
        }
    })?;
    tell(&relays, output);
    Ok(())
}

/// Reads the list of an instance that does not run, and writes what `work` makes of it.
fn change(
    global: &Global,
    work: impl FnOnce(&Vec<RelayAddress>) -> Result<Vec<RelayAddress>, Failure>,
) -> Result<Relays, Failure> {
    let dir = DataDir::open(&identity::data_path(global)?)?;
    let lock = backend::lock(&dir)?;
    let keys = identity::Keys::open(&dir, &lock, global.passphrase_fd)?;
    let mut store = atrest::open_store(&dir.store(), &keys.storage()?, Opening::Normal)?;
    let before = kept(&mut store)?;
    let list = work(&before)?;
    if list != before {
        keep(&mut store, &list)?;
    }
    Ok(Relays { relays: list.iter().map(ToString::to_string).collect() })
}

fn tell(relays: &Relays, output: Output) {
    output.answer(relays, |relays| match relays.relays.as_slice() {
        [] => "no relays\n".to_owned(),
        list => list.iter().map(|relay| format!("{relay}\n")).collect(),
    });
}
