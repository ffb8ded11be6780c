//! The list of relays of an instance at work: a change takes effect at once, and is kept.

use std::sync::PoisonError;

use bytes::Bytes;
use lama_host::entropy;
use lama_identity::SignSecret;
use lama_net::RelayHome;
use lama_node::{Command, Reply};
use lama_relay::RelayAddress;

use super::Live;
use super::work::unexpected;
use crate::api;
use crate::failure::Failure;
use crate::relay::{self, list};

/// The list as it is kept.
pub(super) fn show(live: &Live) -> Result<api::Relays, Failure> {
    kept(live).map(|list| list::row(&list))
}

/// Keeps what `work` makes of the list, and stands behind those relays from now on.
pub(super) fn change(
    live: &Live,
    work: impl FnOnce(&[RelayAddress]) -> Result<Vec<RelayAddress>, Failure>,
) -> Result<api::Relays, Failure> {
    // One change at a time.
    let mut shown = live.relays.lock().unwrap_or_else(PoisonError::into_inner);
    let before = kept(live)?;
    let after = work(&before)?;
    let mut homes = Vec::new();
    for address in &after {
        homes.push(RelayHome { address: address.clone(), key: route_key(live, address)? });
    }
    if after != before {
        setting(live, list::LIST, Some(list::lines(&after)))?;
        if live.stands {
            live.port.relays(homes)?;
            *shown = list::row(&after).relays;
        }
    }
    Ok(list::row(&after))
}

fn kept(live: &Live) -> Result<Vec<RelayAddress>, Failure> {
    list::parse(setting(live, list::LIST, None)?.as_deref())
}

/// As [`relay::homes`] does it for an instance that does not run.
fn route_key(live: &Live, address: &RelayAddress) -> Result<SignSecret, Failure> {
    let name = relay::key_name(address);
    if let Some(kept) = setting(live, &name, None)? {
        return relay::key_of(address, &kept);
    }
    let key = SignSecret::from_seed(entropy::seed()?);
    // Durable before it is used.
    setting(live, &name, Some(Bytes::copy_from_slice(key.danger_expose().as_slice())))?;
    Ok(key)
}

fn setting(live: &Live, key: &str, set: Option<Bytes>) -> Result<Option<Bytes>, Failure> {
    match live.call(Command::HostSetting { key: key.to_owned(), set })? {
        Reply::Setting(value) => Ok(value),
        other => Err(unexpected(&other)),
    }
}
