//! Where this machine can be reached, as far as it knows.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The addresses of this machine but those of the loopback: another set is another network. `None`: the system does not
/// say.
#[must_use]
pub fn local_addresses() -> Option<BTreeSet<IpAddr>> {
    let all = if_addrs::get_if_addrs().ok()?;
    Some(all.iter().filter(|one| !one.is_loopback()).map(if_addrs::Interface::ip).collect())
}
