//! The process is killed in the middle of writing, again and again.
//!
//! This test starts itself as a child that commits without end and says after each commit that it is durable; it
//! is killed (SIGKILL) at a random moment. Whatever it said must be there. `LAMA_KILLS` sets the number of rounds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::disallowed_methods)]

mod common;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Cast, open};
use lama_store::conformance::fixture::Dice;
use lama_store::{Redb, RedbOptions, Reply, Request};

const CHILD: &str = "LAMA_STORE_CHILD";

fn engine(directory: &Path) -> Redb {
    Redb::open(&directory.join("store"), RedbOptions::default()).unwrap()
}

/// Not a test of its own: what the other one kills.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let cast = Cast::new();
    let mut store = open(engine(Path::new(&directory)), 3);
    let mut number = cast.verify(&mut store);
    let mut out = std::io::stdout();
    loop {
        let requests: Vec<_> = (1..=3).map(|next| Request::Commit(cast.writes(number + next))).collect();
        let replies = store.execute(&requests);
        assert!(replies.iter().all(|reply| matches!(reply, Ok(Reply::Committed(_)))), "{replies:?}");
        number += 3;
        writeln!(out, "durable {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let rounds: u64 = std::env::var("LAMA_KILLS").map_or(12, |rounds| rounds.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let cast = Cast::new();
    let mut dice = Dice::new(7);
    let (mut last, mut said_in_all) = (0, 0);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter_map(|line| {
                    line.strip_prefix("durable ").and_then(|number| number.parse::<u64>().ok())
                })
                .last()
        });
        std::thread::sleep(Duration::from_millis(150 + dice.below(400)));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = reader.join().unwrap().unwrap_or(last);
        let mut store = open(engine(directory.path()), 4);
        let there = cast.verify(&mut store);
        assert!(there >= said, "round {round}: {said} were durable, {there} are there");
        said_in_all += said - last;
        last = there;
    }
    println!("{rounds} kills, {said_in_all} commits acknowledged, {last} there at the end");
}
