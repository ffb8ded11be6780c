//! Hosts on a network of their own, inside this machine: a network namespace each, on one bridge.

use std::process::Command;

/// A network with hosts on it, gone at the end of the test.
pub struct Network {
    tag: String,
    names: Vec<String>,
}

impl Network {
    /// A network with these hosts, each with its address (and the length of its prefix). `None`, and a line that says why,
    /// where this process may not make one.
    pub fn new(hosts: &[(&str, &str)]) -> Option<Self> {
        let mut network = Self { tag: format!("lama{}", std::process::id()), names: Vec::new() };
        let switch = network.name("switch");
        if let Err(why) = try_ip(&["netns", "add", &switch]) {
            println!("left out: network namespaces cannot be made here, which takes root and `ip` ({why})");
            return None;
        }
        network.names.push(switch.clone());
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"]);
        ip(&["-n", &switch, "link", "set", "bridge", "up"]);
        for (at, (host, address)) in hosts.iter().enumerate() {
            let (name, port) = (network.name(host), format!("port{at}"));
            ip(&["netns", "add", &name]);
            network.names.push(name.clone());
            ip(&[
                "-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", &switch,
            ]);
            ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
            network.give(host, address);
        }
        Some(network)
    }

    /// The namespace of a host.
    pub fn name(&self, host: &str) -> String {
        format!("{}-{host}", self.tag)
    }

    /// The host has this address from now on.
    pub fn give(&self, host: &str, address: &str) {
        ip(&["-n", &self.name(host), "address", "add", address, "dev", "eth0"]);
    }

    /// The host has another address from now on, as when it has moved to another network: connections from the old one
    /// lead nowhere, and nobody is told.
    pub fn replace(&self, host: &str, old: &str, new: &str) {
        ip(&["-n", &self.name(host), "address", "del", old, "dev", "eth0"]);
        self.give(host, new);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = try_ip(&["netns", "del", name]);
        }
    }
}

/// A program in the namespace of a host.
pub fn command_in(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

fn ip(args: &[&str]) {
    try_ip(args).unwrap();
}

fn try_ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", args.join(" "), said.trim())) }
}
