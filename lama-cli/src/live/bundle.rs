//! What an instance at work puts into a debug bundle.

use serde_json::{Value, json};

use super::Live;
use super::work::{contacts, status};
use crate::bundle::Redactor;
use crate::failure::Failure;
use crate::kept;

/// Versions, configuration, status, health, counters and the last lines of the log, with nobody's name in it.
pub(super) fn bundle(live: &Live) -> Result<Value, Failure> {
    let status = status(live)?;
    let mut redactor = Redactor::default();
    redactor.path(&live.data.display().to_string(), "<data>");
    if let Ok(home) = std::env::var("HOME") {
        redactor.path(&home, "<home>");
    }
    redactor.add("e-mail", &live.id.email);
    redactor.add("person", &live.id.person);
    redactor.add("instance", &live.id.instance);
    redactor.add("name", &live.id.name);
    redactor.add("fingerprint", &live.id.fingerprint);
    redactor.add("key", &live.id.instance_key);
    for contact in contacts(live)? {
        redactor.add("e-mail", &contact.email);
        redactor.add("person", &contact.person.full());
        redactor.add("fingerprint", &contact.pin.full());
        for instance in &contact.instances {
            redactor.add("instance", &instance.instance.full());
            redactor.add("name", &instance.name);
        }
    }
    for peer in &status.peers {
        redactor.add("instance", &peer.instance);
        redactor.add("name", &peer.name);
    }
    let limits = format!("{:#?}", lama_node::Config::default());
    let limits: Vec<&str> = limits.lines().collect();
    let whole = json!({
        "versions": {
            "lama": env!("CARGO_PKG_VERSION"),
            "protocol": lama_handshake::VERSION,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        },
        "configuration": {
            "runtime": live.runtime,
            "online": live.online,
            "relays": live.relays(),
            "last_port": live.last_port,
            "passphrase": live.id.passphrase,
            "limits": limits,
        },
        "time": crate::wall().0,
        "status": status,
        "health": super::health::health(live)?,
        "metrics": live.metrics()?.lines().filter(|line| !line.starts_with('#')).collect::<Vec<&str>>(),
        "log": kept::lines(),
    });
    Ok(redactor.value(whole))
}
