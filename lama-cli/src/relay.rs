//! Relays: running one, and the keys of an instance that stands behind some.

mod check;
pub(crate) mod list;
mod serve;

use bytes::Bytes;
use lama_host::entropy;
use lama_identity::SignSecret;
use lama_net::RelayHome;
use lama_node::NodeError;
use lama_relay::RelayAddress;
use lama_store::{Engine, Read, Reply, Store, Write};

use crate::args::{Global, RelayCommand};
use crate::failure::{Exit, Failure};
use crate::identity::hex;
use crate::output::Output;

/// `lama relay`.
pub(crate) fn run(global: &Global, command: &RelayCommand, output: Output) -> Result<(), Failure> {
    match command {
        RelayCommand::Run(run) => serve::run(global, run, output),
        RelayCommand::Check(setup) => check::run(setup, output),
        RelayCommand::List => list::show(global, output),
        RelayCommand::Add(add) => list::add(global, add, output),
        RelayCommand::Remove(remove) => list::remove(global, remove, output),
    }
}

/// With what the name of a route key's setting begins; the relay's pin follows.
const ROUTE_KEYS: &str = "relay/";

/// The list, each with the key of this instance there: drawn when a relay is named for the first time and kept (sealed, as
/// all settings), so that what contacts know and open invitations name goes on leading here.
pub(crate) fn homes<E: Engine>(
    store: &mut Store<E>,
    relays: &[RelayAddress],
) -> Result<Vec<RelayHome>, Failure> {
    let mut homes: Vec<RelayHome> = Vec::new();
    for address in relays {
        // It has one key there: two registrations would take each other for a copy of this instance.
        if homes.iter().any(|home| home.address.pin == address.pin) {
            return Err(Failure::usage(format!("{address} is named twice; name each relay once")));
        }
        homes.push(RelayHome { address: address.clone(), key: route_key(store, address)? });
    }
    Ok(homes)
}

/// The setting that holds this instance's key at a relay.
pub(crate) fn key_name(address: &RelayAddress) -> String {
    format!("{ROUTE_KEYS}{}", hex(&address.pin))
}

/// The key that such a setting holds.
pub(crate) fn key_of(address: &RelayAddress, kept: &[u8]) -> Result<SignSecret, Failure> {
    let bytes: &[u8; 32] = kept.try_into().map_err(|_| {
        Failure::new(Exit::Damaged, "relay-route-key", format!("the key for {address} is damaged"))
    })?;
    Ok(SignSecret::danger_from_bytes(bytes))
}

fn route_key<E: Engine>(store: &mut Store<E>, address: &RelayAddress) -> Result<SignSecret, Failure> {
    let name = key_name(address);
    if let Reply::Setting(Some(kept)) = store.ask(Read::Setting(name.clone())).map_err(NodeError::from)? {
        return key_of(address, &kept);
    }
    let key = SignSecret::from_seed(entropy::seed()?);
    let value = Some(Bytes::copy_from_slice(key.danger_expose().as_slice()));
    // Durable before it is used.
    store.commit(vec![Write::Setting { key: name, value }]).map_err(NodeError::from)?;
    Ok(key)
}
