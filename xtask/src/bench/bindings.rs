//! `cargo xtask bench bindings [OBJECTS]`: the same work in Rust, Node, Chromium and Python, over the same plain API, and
//! what each frame costs at the border.
//!
//! Every side is a program of its own that prints its figures as JSON. Speed is that of what is shipped, allocations and
//! sealing alone those of the same code built with its feature `measure`. The sides take turns, and each is compared with the
//! native one of its own turn: so what else the machine does is in both.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::bindings::{self, text};
use crate::run::{self, Failure};
use crate::{foreign, web};

/// How often all sides have their turn; the middle one counts.
const TURNS: usize = 3;
/// Small objects, if nothing is said; as much of a file and as many messages belong to each.
const OBJECTS: u64 = 20_000;
const BYTES_EACH: u64 = 2_500;
const OBJECTS_PER_MESSAGE: u64 = 10;

/// The first one is what the others are compared with.
const SIDES: [&str; 4] = ["native", "Node", "Chromium", "Python"];

/// What is compared, and in which unit: bytes are shown as MB.
const SPEEDS: &[(&str, &str, bool)] = &[
    ("store", "a file into the store", true),
    ("blob", "the file from store to store, sealed", true),
    ("read", "reading it, in pieces of 1 MiB", true),
    ("made", "objects of 200 bytes made, one commit each", false),
    ("objects", "the objects from store to store", false),
    ("messages", "messages, by a command and an event each", false),
];
const ALONE: &[(&str, &str, bool)] =
    &[("seal", "sealing full records, alone", true), ("open", "opening them, alone", true)];

/// What a frame costs, of each of the two ways to fill it.
const COSTS: &[(&str, &str)] = &[
    ("frame_bytes", "bytes of a frame, on average"),
    ("out", "allocations to get one"),
    ("in", "allocations to give one"),
    ("copies", "arrays copied by the glue, both ways"),
    ("views", "views made by the glue, both ways"),
    ("held_out", "Python's peak to get a full one, in frames"),
    ("held_in", "Python's peak to give a full one, in frames"),
];

type Figures = BTreeMap<String, f64>;

/// How a side is started, but for the amounts.
struct Side {
    program: String,
    before: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

/// Builds everything, lets all sides have their turns, and prints both tables.
pub(crate) fn run(objects: Option<&str>) -> Result<(), Failure> {
    let objects = objects.map_or(Ok(OBJECTS), |text| {
        text.parse().ok().filter(|objects| *objects >= OBJECTS_PER_MESSAGE).ok_or_else(|| {
            format!("{text} is no number of objects from {OBJECTS_PER_MESSAGE} on: see `cargo xtask help`")
        })
    })?;
    let (shipped, counting) = prepare()?;
    let amounts =
        [objects * BYTES_EACH, objects, objects / OBJECTS_PER_MESSAGE].map(|amount| amount.to_string());
    let [bytes, small, messages] = &amounts;
    println!(
        "{bytes} bytes of a file, {small} objects, {messages} messages; all stores in memory; the middle of {TURNS} turns"
    );
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push(turn(&shipped, &amounts)?);
    }
    let counted = turn(&counting, &amounts)?;
    head("what, a second");
    SPEEDS.iter().for_each(|row| speed(row, &turns));
    ALONE.iter().for_each(|row| speed(row, std::slice::from_ref(&counted)));
    for (part, what) in [("blob", "frames of the file"), ("objects", "frames of objects")] {
        head(what);
        for (cost, what) in COSTS {
            let shown = |side: &Figures| {
                let figure = side.get(&format!("{part}.{cost}"));
                figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"))
            };
            let cells: Vec<String> = counted.iter().map(|side| format!("{:>18}", shown(side))).collect();
            println!("{what:<46}{}", cells.concat());
        }
    }
    Ok(())
}

/// The sides as they are shipped, and as they count.
fn prepare() -> Result<(Vec<Side>, Vec<Side>), Failure> {
    let ring = ["build", "--release", "--locked", "--package", "lama-measure", "--features", "ring"];
    run::cargo(&ring)?;
    let native = run::target_dir().join("release/lama-measure");
    let script = run::root().join("bindings/python/bench/measure.py");
    let page = web::workshop()?.join("chromium.mjs");
    web::copy(&run::root().join("bindings/js/bench/chromium.mjs"), page.parent().unwrap_or(&page))?;
    let chromium = web::chromium()?;
    let sides = |js: &Path, python: &Path, packages: &Path| -> Result<Vec<Side>, Failure> {
        let node = js.join("bench/node.js");
        Ok(vec![
            side(&native, &[], &[])?,
            side(Path::new("node"), &[&node], &[])?,
            side(Path::new("node"), &[&page, js], &[("LAMA_CHROMIUM", chromium)])?,
            side(python, &[&script], &[("PYTHONPATH", text(packages)?), ("PYTHONDONTWRITEBYTECODE", "1")])?,
        ])
    };
    bindings::js()?;
    let (python, packages) = foreign::released("python-release", &[])?;
    let shipped = sides(&bindings::package(), &python, &packages)?;
    let (python, packages) = foreign::released("python-measure", &["--features", "measure"])?;
    Ok((shipped, sides(&bindings::measuring()?, &python, &packages)?))
}

fn side(program: &Path, before: &[&Path], variables: &[(&'static str, &str)]) -> Result<Side, Failure> {
    Ok(Side {
        program: text(program)?.to_owned(),
        before: before.iter().map(|path| text(path).map(str::to_owned)).collect::<Result<_, _>>()?,
        variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    })
}

/// Every side, one after the other.
fn turn(sides: &[Side], amounts: &[String]) -> Result<Vec<Figures>, Failure> {
    sides.iter().map(|side| measure(side, amounts)).collect()
}

fn measure(side: &Side, amounts: &[String]) -> Result<Figures, Failure> {
    let args: Vec<&str> = side.before.iter().chain(amounts).map(String::as_str).collect();
    let variables: Vec<(&str, &str)> =
        side.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let said = run::read_with(&variables, &side.program, &args)?;
    let figures: Value = serde_json::from_str(said.trim())
        .map_err(|_| format!("`{}` gave no figures: {said}", side.program))?;
    let named = figures.as_object().into_iter().flatten();
    Ok(named.filter_map(|(name, figure)| Some((name.clone(), figure.as_f64()?))).collect())
}

fn head(what: &str) {
    let sides: Vec<String> = SIDES.iter().map(|side| format!("{side:>18}")).collect();
    println!("\n{what:<46}{}", sides.concat());
}

/// One row: of each side the middle figure, and the middle of its ratios to the native one of the same turn.
fn speed((name, what, bytes): &(&str, &str, bool), turns: &[Vec<Figures>]) {
    let of = |turn: &Vec<Figures>, side: usize| turn.get(side).and_then(|side| side.get(*name)).copied();
    let cells = (0..SIDES.len()).map(|side| {
        let figure = middle(turns.iter().filter_map(|turn| of(turn, side)).collect());
        let ratio = middle(turns.iter().filter_map(|turn| Some(of(turn, side)? / of(turn, 0)?)).collect());
        let (Some(figure), Some(ratio)) = (figure, ratio) else { return format!("{:>18}", "-") };
        let shown = if *bytes { format!("{:.0} MB", figure / 1e6) } else { format!("{figure:.0}") };
        if side == 0 { format!("{shown:>18}") } else { format!("{:>18}", format!("{shown} ({ratio:.2})")) }
    });
    println!("{what:<46}{}", cells.collect::<String>());
}

fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}
