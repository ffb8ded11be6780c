//! CHUM: one machine against whatever a peer may send, two machines under whatever schedule, and foreign folders.

use bytes::{Bytes, BytesMut};
use lama_chum::blob::{Blob, File, Folder, Reader, check_name};
use lama_chum::wire::{Hello, Label, LogNews, ObjectsWriter, Synced, ack};
use lama_chum::{
    Chum, Config, Cursor, Fingerprint, Input, Lane, Output, PairKey, ViewHead, WINDOW_BYTES, WINDOW_OBJECTS,
};
use lama_core::{Instant, Machine, Now, WallTime};
use lama_identity::{Cid, Codec, Object};

use crate::chum_common::pair::{Pair, Side, Step};
use crate::chum_common::view::View;
use crate::chum_common::{objects, pair_key, tight};

const NOW: Now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };

/// Splits what one message or one step takes off the input: a byte, and for a message a length and its bytes.
fn next<'a>(data: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&step, rest) = data.split_first()?;
    *data = rest;
    if step >= 16 {
        return Some((step, &[]));
    }
    let (len, rest) = data.split_at_checked(2)?;
    let len = usize::from(u16::from_le_bytes([len[0], len[1]])).min(rest.len());
    let (message, rest) = rest.split_at(len);
    *data = rest;
    Some((step, message))
}

/// A machine with five objects of its own, a store that answers, and a peer that sends what it likes. What reaches
/// the store is canonical, named by its hash, and bounded; the first error is final.
pub fn frames(mut data: &[u8]) {
    let mut view = View::new(1);
    view.strict = false;
    view.share(objects("own", 5, 100));
    let mut side = Side::new(tight(), view);
    let (mut ended, mut out) = (None, BytesMut::new());
    while let Some((step, message)) = next(&mut data) {
        let input = match step {
            0..16 => Some(Input::Message(Bytes::copy_from_slice(message))),
            16..80 => side.execute(),
            144..200 => Some(Input::Grown(side.view.share(objects("more", step.into(), 60)))),
            _ => None,
        };
        if (80..144).contains(&step) {
            out.clear();
            assert_eq!(side.chum.poll_frame(&mut out), !out.is_empty());
        }
        let result = match input {
            Some(input) => side.chum.handle(NOW, input),
            None => side.chum.handle_timeout(NOW),
        };
        if let Some(error) = ended {
            assert_eq!(result, Err(error), "the first error is final");
        }
        ended = ended.or(result.err());
        while let Some(output) = side.chum.poll() {
            keep(&mut side, output);
        }
    }
}

fn keep(side: &mut Side, output: Output) {
    if let Output::Import { objects, after, upto, .. } = &output {
        assert!(upto.covers(*after) && !objects.is_empty() && objects.len() <= WINDOW_OBJECTS);
        assert!(objects.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= WINDOW_BYTES);
        // Empty bytes stand for an id that is gone.
        for (id, bytes) in objects.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            assert_eq!(*id, Cid::of(id.codec(), bytes));
            assert!(id.codec() == Codec::Raw || lama_identity::cbor::check(bytes).is_ok());
        }
    }
    match output {
        Output::Event(_) => {}
        job => side.jobs.push_back(job),
    }
}

/// Two honest machines under any schedule, with cuts anywhere: they end in sync, nothing lost, nothing durable sent
/// again.
pub fn pair(data: &[u8]) {
    let Some((&shape, schedule)) = data.split_first() else { return };
    let (mut a, mut b) = (View::new(1), View::new(2));
    a.share(objects("a", u64::from(shape & 15), 180));
    b.share(objects("b", u64::from(shape >> 4), 700));
    let capacity = 1_500;
    let mut pair = Pair::new(tight(), a, b, capacity, 1);
    let (mut more, mut cuts) = (0, 0);
    for &step in schedule.iter().take(2_000) {
        let side = usize::from(step & 1);
        let done = match step >> 1 {
            0..24 => pair.step(Step::Poll(side)),
            24..48 => pair.step(Step::Execute(side)),
            48..72 => pair.step(Step::Frame(side)),
            72..120 => pair.step(Step::Deliver(side)),
            120..124 => {
                more += 1;
                pair.share(side, objects(["more a", "more b"][side], more, 90).split_off(more as usize - 1));
                Ok(true)
            }
            _ => {
                cuts += 1;
                let [mut a, mut b] = pair.sides;
                // What the store was told to do is done, or not, and nobody hears of it.
                for side in [&mut a, &mut b] {
                    while step & 2 == 0 && !side.jobs.is_empty() {
                        side.execute();
                    }
                }
                pair = Pair::new(tight(), a.view, b.view, capacity, cuts);
                Ok(true)
            }
        };
        done.unwrap();
    }
    pair.settle().unwrap();
    pair.assert_in_sync();
    assert_eq!(pair.sides[0].view.repeated + pair.sides[1].view.repeated, 0);
}

/// Foreign blobs, files and folders: what is read is written as the same bytes, and no name leads out of its folder.
pub fn folder(data: &[u8]) {
    if let Ok(folder) = Folder::read(data) {
        assert_eq!(folder.to_bytes().unwrap(), data);
        assert!(folder.entries.iter().all(|entry| check_name(&entry.name).is_ok()));
        assert!(folder.entries.is_sorted_by(|a, b| a.name < b.name));
    }
    if let Ok(file) = File::read(data) {
        assert_eq!(file.to_bytes().unwrap(), data);
        assert!(check_name(&file.name).is_ok());
    }
    let Ok(blob) = Blob::read(data) else { return };
    assert_eq!(blob.to_bytes().unwrap(), data);
    let mut reader = Reader::new(Cid::of_object(data));
    assert_eq!(reader.give(Bytes::copy_from_slice(data)), Ok(None));
    assert_eq!(reader.size(), Some(blob.size));
    assert_eq!(reader.wanted(), blob.chunks.first().copied());
}

/// Valid conversations for the corpus of [`frames`].
pub fn frame_seeds() -> Vec<(&'static str, Bytes)> {
    let message = |build: &dyn Fn(&mut BytesMut)| {
        let mut bytes = BytesMut::new();
        build(&mut bytes);
        let mut step = vec![0];
        step.extend((bytes.len() as u16).to_le_bytes());
        step.extend(bytes);
        step
    };
    let mut head = ViewHead { epoch: [2; 8], seq: 2, count: 2, fingerprint: Fingerprint::default() };
    let (by, theirs) = (pair_key().fingerprinter(), objects("theirs", 2, 90));
    theirs.iter().for_each(|(id, _)| head.fingerprint.add(&by, id));
    let hello = message(&|out| Hello { head, cursor: Cursor::default(), news: LogNews::None }.write(out));
    let all = message(&|out| {
        let mut writer = ObjectsWriter::begin(out);
        theirs.iter().for_each(|(id, bytes)| writer.push(id.codec(), bytes));
        writer.finish(Label::default(), 2, 2);
    });
    let synced = message(&|out| {
        Synced { own: 7, peer: 5, count: 7, fingerprint: head.fingerprint }.write(out);
    });
    let acked = message(&|out| ack(Lane::Blobs, 5, out));
    let refused = message(&|out| {
        lama_chum::wire::write_refused([(theirs[0].0, lama_chum::Refusal::Quota)].into_iter(), out);
    });
    let run = |steps: &[&[u8]]| Bytes::from(steps.concat());
    vec![
        ("hello", run(&[&hello])),
        ("objects", run(&[&[80], &hello, &all, &[16, 16, 80, 80]])),
        (
            "all",
            run(&[&hello, &[16, 80, 80, 80], &all, &[16, 16], &acked, &refused, &[80, 150, 16, 80], &synced]),
        ),
    ]
}

/// Folders, files and manifests for the corpus of [`folder`].
pub fn folder_seeds() -> Vec<(&'static str, Bytes)> {
    use lama_chum::blob::{BlobConfig, Chunker, FolderBuilder};
    let mut chunker = Chunker::new(BlobConfig { chunk_size: 4, ..BlobConfig::default() }).unwrap();
    let mut data: &[u8] = b"ten bytes!";
    while !data.is_empty() {
        chunker.push(&mut data).unwrap();
    }
    let blob = chunker.finish().unwrap();
    let file = File::new("notes.txt", blob.size, false, blob.root).unwrap();
    let mut folder = FolderBuilder::new("shared").unwrap();
    folder.file("a/b.txt", blob.size, true, blob.root).unwrap();
    folder.file("c.txt", blob.size, false, blob.root).unwrap();
    vec![
        ("blob", blob.objects.last().unwrap().1.clone()),
        ("file", file.to_bytes().unwrap()),
        ("folder", folder.finish().unwrap().objects.last().unwrap().1.clone()),
    ]
}

/// Schedules for the corpus of [`pair`].
pub fn pair_seeds() -> Vec<(&'static str, Bytes)> {
    let round = [0_u8, 1, 50, 51, 100, 101, 150, 151];
    let plain: Vec<u8> = std::iter::once(0x53).chain(round.into_iter().cycle().take(300)).collect();
    let live: Vec<u8> =
        plain.iter().copied().chain([240, 241]).chain(round.into_iter().cycle().take(40)).collect();
    let cut: Vec<u8> =
        plain.iter().take(60).copied().chain([250, 255]).chain(plain.iter().copied()).collect();
    vec![("plain", plain.into()), ("live", live.into()), ("cut", cut.into())]
}

/// Nothing here needs a machine of another shape than the one the tests use.
const _: fn(Config, ViewHead, Cursor, PairKey) -> Chum = Chum::new;
