//! Routes that are registered and wait.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use lama_identity::SignSecret;
use lama_relay::Config;

use crate::raw::{Raw, seed, source};
use crate::{block_on, listener, serve};

/// From one address block.
const PER_SOURCE: usize = 30;

/// The relay alone; ends with its standard input.
pub(crate) fn child() {
    let (socket, port) = listener();
    println!("{port}");
    std::io::stdout().flush().unwrap();
    std::thread::spawn(move || serve(Config::default(), socket));
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

/// Resident memory of a process in bytes.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Processor time of a process in seconds.
fn processor(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

pub(crate) fn run(amount: u64) {
    let mut relay = Command::new(std::env::current_exe().unwrap())
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let routes = usize::try_from(amount).unwrap();
    block_on(async {
        // The first one makes what every relay has.
        let first = Raw::registered(source(0), port, &SignSecret::from_seed(seed())).await.unwrap();
        let before = resident(relay.id());
        let mut all = vec![first];
        for n in 1..routes {
            let key = SignSecret::from_seed(seed());
            match Raw::registered(source(1 + n / PER_SOURCE), port, &key).await {
                Ok(raw) => all.push(raw),
                Err(error) => panic!("route {n}: {error}"),
            }
        }
        let each = (resident(relay.id()) - before) / (amount - 1);
        let began = processor(relay.id());
        // One PING and PONG of each falls into this time.
        let pongs = all.into_iter().map(|mut raw| {
            tokio::spawn(async move {
                let _ = raw.next().await;
            })
        });
        let pongs: Vec<_> = pongs.collect();
        tokio::time::sleep(std::time::Duration::from_secs(25)).await;
        let busy = (processor(relay.id()) - began) / 25.0 * 100.0;
        drop(pongs);
        println!(
            "idle: {routes} routes, {each} bytes of the relay's process for each, {busy:.1} % of a core for their PINGs"
        );
    });
    drop(relay.stdin.take());
    relay.wait().unwrap();
}
