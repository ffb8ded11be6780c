//! The native side of `cargo xtask bench bindings`: `lama-measure BYTES OBJECTS MESSAGES` prints its figures as one line
//! of JSON, as `bindings/js/bench` and `bindings/python/bench` do of theirs.

mod pair;

use std::process::ExitCode;
use std::time::Duration;

use lama_bindings::{Command, FileEntry};
use lama_measure::{Counting, Records};
use serde_json::{Map, Value, json};

use crate::pair::{Costs, Pair, clock, odd};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much of a file is taken and given at once, in bytes.
const PIECE: usize = 1 << 20;
/// Bytes of each small object.
const OBJECT: usize = 200;
/// Records that are sealed and opened alone: 16 MiB.
const RECORDS: u32 = 256;

fn main() -> ExitCode {
    let amounts: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [bytes, objects, messages] = amounts.as_slice() else {
        eprintln!("usage: lama-measure BYTES OBJECTS MESSAGES");
        return ExitCode::from(2);
    };
    match measure(*bytes, *objects, *messages) {
        Ok(figures) => {
            println!("{}", Value::Object(figures));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("lama-measure: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(bytes: u64, objects: u64, messages: u64) -> Result<Map<String, Value>, String> {
    let mut figures = Map::new();
    let mut put = |name: &str, figure: f64| drop(figures.insert(name.to_owned(), json!(figure)));
    seal(&mut put)?;
    let (mut pair, bob) = Pair::new()?;
    let with = vec![bob.clone()];
    blob(&mut pair, &with, bytes, &mut put)?;
    small(&mut pair, &with, objects, &mut put)?;
    talk(&mut pair, &bob, messages, &mut put)?;
    Ok(figures)
}

/// So many of it in this time, a second.
fn rate(amount: u64, took: Duration) -> f64 {
    amount as f64 / took.as_secs_f64()
}

fn costs(part: &str, costs: Costs, put: &mut impl FnMut(&str, f64)) {
    put(&format!("{part}.frames"), costs.frames as f64);
    put(&format!("{part}.frame_bytes"), costs.bytes as f64 / costs.frames as f64);
    put(&format!("{part}.out"), costs.out as f64 / costs.frames as f64);
    put(&format!("{part}.in"), costs.taken as f64 / costs.frames as f64);
}

/// Sealing and opening with nothing around them.
fn seal(put: &mut impl FnMut(&str, f64)) -> Result<(), String> {
    let mut records = Records::new(RECORDS).map_err(|error| error.to_string())?;
    let begun = clock();
    let sealed = records.seal().map_err(|error| error.to_string())?;
    put("seal", rate(sealed, begun.elapsed()));
    let begun = clock();
    let opened = records.open().map_err(|error| error.to_string())?;
    put("open", rate(opened, begun.elapsed()));
    Ok(())
}

/// One file: into the store, to the other one, and out of its store.
fn blob(pair: &mut Pair, with: &[String], bytes: u64, put: &mut impl FnMut(&str, f64)) -> Result<(), String> {
    let data: Vec<u8> = (0..bytes).map(|at| (at * 7 % 251) as u8).collect();
    let begun = clock();
    let number = pair.first().begin_blob().map_err(|problem| problem.to_string())?;
    for piece in data.chunks(PIECE) {
        pair.first().push_blob(number, piece).map_err(|problem| problem.to_string())?;
    }
    let content = pair.first().finish_blob(number).map_err(|problem| problem.to_string())?;
    put("store", rate(bytes, begun.elapsed()));
    let made = pair.first().make_file("blob", &content, false).map_err(|problem| problem.to_string())?;
    cross(pair, with, made.root, "blob", bytes, put)?;
    let begun = clock();
    let mut read = Vec::with_capacity(data.len());
    for start in (0..bytes).step_by(PIECE) {
        let piece = pair.second().read(&content.blob, start, PIECE as u64);
        read.extend(piece.map_err(|problem| problem.to_string())?);
    }
    put("read", rate(bytes, begun.elapsed()));
    if read == data { Ok(()) } else { Err("the file did not come across as it was".to_owned()) }
}

/// A folder of so many small files: as many objects, and few more.
fn small(
    pair: &mut Pair,
    with: &[String],
    objects: u64,
    put: &mut impl FnMut(&str, f64),
) -> Result<(), String> {
    let begun = clock();
    let mut files = Vec::new();
    for at in 0..objects {
        let mut data = [0x5a; OBJECT];
        data.iter_mut().zip(at.to_le_bytes()).for_each(|(to, from)| *to = from);
        let number = pair.first().begin_blob().map_err(|problem| problem.to_string())?;
        pair.first().push_blob(number, &data).map_err(|problem| problem.to_string())?;
        let content = pair.first().finish_blob(number).map_err(|problem| problem.to_string())?;
        files.push(FileEntry { path: path(at), blob: content.blob, size: content.size, executable: false });
    }
    put("made", rate(objects, begun.elapsed()));
    let made = pair.first().make_folder("small", &files).map_err(|problem| problem.to_string())?;
    cross(pair, with, made.root.clone(), "objects", objects, put)?;
    let tree = pair.second().tree(&made.root).map_err(|problem| problem.to_string())?;
    for file in &tree.files {
        let content = pair.second().read(&file.blob, 0, file.size).map_err(|problem| problem.to_string())?;
        let number = content.first_chunk().map(|start| path(u64::from_le_bytes(*start)));
        if content.len() != OBJECT || number.as_ref() != Some(&file.path) {
            return Err(format!("the file {} did not come across as it was", file.path));
        }
    }
    if tree.files.len() as u64 == objects { Ok(()) } else { Err(odd()) }
}

/// 256 of them in a folder: more do not fit into one object.
fn path(at: u64) -> String {
    format!("{}/{}", at >> 8, at & 255)
}

/// What was shared while they were apart goes across, from the dial on.
fn cross(
    pair: &mut Pair,
    with: &[String],
    root: String,
    part: &str,
    amount: u64,
    put: &mut impl FnMut(&str, f64),
) -> Result<(), String> {
    pair.part();
    pair.ask(0, Command::Share { root: root.clone(), with: with.to_vec(), note: None })?;
    pair.costs = Costs::default();
    let begun = clock();
    pair.meet()?;
    pair.until_shared(&root)?;
    put(part, rate(amount, begun.elapsed()));
    costs(part, pair.costs, put);
    Ok(())
}

/// Messages, each written by a command and told by an event.
fn talk(pair: &mut Pair, bob: &str, messages: u64, put: &mut impl FnMut(&str, f64)) -> Result<(), String> {
    let begun = clock();
    for at in 0..messages {
        pair.begin(0, Command::Send { to: bob.to_owned(), text: format!("message {at}"), channel: None })?;
    }
    pair.until_heard(messages)?;
    put("messages", rate(messages, begun.elapsed()));
    Ok(())
}
