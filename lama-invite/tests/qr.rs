//! QR codes: what is drawn in a terminal and in SVG is read back by another implementation.
#![cfg(feature = "qr")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{invitation, routed};
use lama_invite::qr::{Qr, Style};
use lama_invite::{InviteError, LAMA_BASE, parse_unchecked};

/// Reads a picture of `side` modules a side, drawn three pixels to a module.
fn decode(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
    const SCALE: usize = 3;
    let pixel = |x: usize, y: usize| if dark(x / SCALE, y / SCALE) { 0 } else { 255 };
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(side * SCALE, side * SCALE, pixel);
    let grids = picture.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

/// Turns half blocks back into modules; `true` is a drawn half.
fn ink(text: &str) -> Vec<Vec<bool>> {
    let mut rows = vec![];
    for line in text.lines() {
        let halves = |c: char| match c {
            '\u{2588}' => (true, true),
            '\u{2580}' => (true, false),
            '\u{2584}' => (false, true),
            ' ' => (false, false),
            other => panic!("{other:?}"),
        };
        rows.push(line.chars().map(|c| halves(c).0).collect());
        rows.push(line.chars().map(|c| halves(c).1).collect());
    }
    rows
}

#[test]
fn terminals_of_every_colour_show_a_code_that_another_implementation_reads() {
    let made = invitation(5);
    let link = made.to_link(LAMA_BASE).unwrap();
    let qr = Qr::of(&link).unwrap();
    assert!(qr.columns() <= 80, "{} columns", qr.columns());
    let ansi = qr.to_terminal(Style::Ansi);
    assert!(ansi.lines().all(|line| line.starts_with("\u{1b}[30;107m") && line.ends_with("\u{1b}[0m")));
    let plain = ansi.replace("\u{1b}[30;107m", "").replace("\u{1b}[0m", "");
    for (text, ink_is_dark) in [
        (qr.to_terminal(Style::LightOnDark), false),
        (qr.to_terminal(Style::DarkOnLight), true),
        (plain, true),
    ] {
        assert!(text.ends_with('\n'));
        let rows = ink(&text);
        assert!(rows.iter().all(|row| row.len() == qr.columns()));
        assert_eq!(rows.len(), qr.columns().next_multiple_of(2));
        let read = decode(qr.columns(), |x, y| rows[y][x] == ink_is_dark);
        assert_eq!(parse_unchecked(&read).unwrap(), made);
        // Four light modules all around.
        for i in 0..qr.columns() {
            for j in 0..4 {
                let far = qr.columns() - 1 - j;
                for (x, y) in [(i, j), (j, i), (i, far), (far, i)] {
                    assert_ne!(rows[y][x], ink_is_dark, "{x} {y}");
                }
            }
        }
    }
}

#[test]
fn the_svg_is_read_too() {
    let link = invitation(6).to_link("https://lama.example/join").unwrap();
    let qr = Qr::of(&link).unwrap();
    let svg = qr.to_svg(5);
    let side = qr.columns();
    assert!(
        svg.contains(&format!("width=\"{}\"", 5 * side))
            && svg.contains(&format!("viewBox=\"0 0 {side} {side}\""))
    );
    let path = svg.split_once(" d=\"").unwrap().1.split_once('"').unwrap().0;
    let mut dark = vec![vec![false; side]; side];
    for run in path.split('M').skip(1) {
        let (start, rest) = run.split_once('h').unwrap();
        let (left, top) = start.split_once(' ').unwrap();
        let (length, back) = rest.split_once("v1h-").unwrap();
        assert_eq!(back, format!("{length}z"));
        let (left, top, length): (usize, usize, usize) =
            (left.parse().unwrap(), top.parse().unwrap(), length.parse().unwrap());
        (left..left + length).for_each(|x| dark[top][x] = true);
    }
    assert_eq!(decode(side, |x, y| dark[y][x]), *link);
    for x in 0..qr.width() {
        for y in 0..qr.width() {
            assert_eq!(qr.is_dark(x, y), dark[y + 4][x + 4]);
        }
    }
    assert!(!qr.is_dark(qr.width(), 0) && !qr.is_dark(0, qr.width()));
}

#[test]
fn long_links_become_larger_codes_until_none_fits() {
    let many = common::create(routed(&["wss://a-long-name-of-a-host.lama.example/some/path"; 8]), 5);
    let link = many.to_link(LAMA_BASE).unwrap();
    let qr = Qr::of(&link).unwrap();
    assert_eq!(decode(qr.columns(), |x, y| qr.is_dark(x.wrapping_sub(4), y.wrapping_sub(4))), *link);
    assert!(Qr::of(&"x".repeat(2_953)).is_ok());
    assert_eq!(Qr::of(&"x".repeat(2_954)), Err(InviteError::QrTooLong));
}
