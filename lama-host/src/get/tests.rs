//! Writing below a destination: what is refused, what is kept, what is gone on with.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use lama_chum::blob::{self, Chunker, FolderBuilder, Items};

use super::*;
use crate::folder::Limits;

type Store = BTreeMap<Cid, Bytes>;

fn blob(store: &mut Store, mut data: &[u8]) -> (Cid, u64) {
    let mut chunker = Chunker::new(lama_chum::blob::BlobConfig::default()).unwrap();
    while !data.is_empty() {
        store.extend(chunker.push(&mut data).unwrap());
    }
    let finished = chunker.finish().unwrap();
    store.extend(finished.objects);
    (finished.root, finished.size)
}

fn folder(store: &mut Store, files: &[(&str, &[u8])]) -> Cid {
    let mut builder = FolderBuilder::new("shared").unwrap();
    for (path, data) in files {
        let (root, size) = blob(store, data);
        builder.file(path, size, false, root).unwrap();
    }
    let built = builder.finish().unwrap();
    store.extend(built.objects);
    built.root
}

fn list(store: &Store, root: Cid) -> Result<Items, HostError> {
    blob::items(root, Limits::default().files, &mut |id| Ok(store.get(&id).cloned()))
}

fn write(store: &Store, root: Cid, into: &Path, force: bool) -> Result<Got, HostError> {
    get(&list(store, root)?.files, into, force, &mut |id| Ok(store.get(&id).cloned()))
}

fn parts(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(PART)).count()
}

#[test]
fn a_folder_is_written_and_what_is_there_already_is_kept() {
    let temp = tempfile::tempdir().unwrap();
    let into = temp.path().join("copy");
    let mut store = Store::new();
    let big = vec![7; 700_000];
    let root = folder(&mut store, &[("a", b"1"), ("sub/deep/big", &big), ("empty", b"")]);
    assert_eq!(write(&store, root, &into, false).unwrap(), Got { files: 3, bytes: 700_001, kept: 0 });
    assert_eq!(fs::read(into.join("sub/deep/big")).unwrap(), big);
    // Again, with one file missing and one that is none of ours.
    fs::remove_file(into.join("a")).unwrap();
    fs::write(into.join("mine"), "mine").unwrap();
    assert_eq!(write(&store, root, &into, false).unwrap(), Got { files: 3, bytes: 700_001, kept: 2 });
    assert_eq!(fs::read(into.join("a")).unwrap(), b"1");
    assert_eq!(fs::read(into.join("mine")).unwrap(), b"mine");
    assert_eq!(parts(&into) + parts(&into.join("sub/deep")), 0);
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Store::new();
    let root = folder(&mut store, &[("a", b"theirs"), ("b", b"new"), ("c", b"theirs")]);
    fs::write(temp.path().join("a"), "mine").unwrap();
    fs::write(temp.path().join("c"), "mine!!").unwrap(); // of the same length
    let error = write(&store, root, temp.path(), false).unwrap_err();
    assert_eq!(error, HostError::Exists { path: temp.path().join("a"), count: 2 });
    assert!(!temp.path().join("b").exists(), "something was written before the refusal");
    assert_eq!(fs::read(temp.path().join("a")).unwrap(), b"mine");
    write(&store, root, temp.path(), true).unwrap();
    assert_eq!(fs::read(temp.path().join("a")).unwrap(), b"theirs");
    assert_eq!(fs::read(temp.path().join("c")).unwrap(), b"theirs");
}

#[test]
fn no_link_is_followed_also_with_force() {
    let temp = tempfile::tempdir().unwrap();
    let (into, outside) = (temp.path().join("into"), temp.path().join("outside"));
    fs::create_dir_all(&into).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    symlink(&outside, into.join("sub")).unwrap();
    symlink(outside.join("file"), into.join("link")).unwrap();
    let mut store = Store::new();
    let through = folder(&mut store, &[("sub/file", b"theirs")]);
    for force in [false, true] {
        let error = write(&store, through, &into, force).unwrap_err();
        assert_eq!(error, HostError::Unsafe(into.join("sub/file")));
    }
    // A link in the place of the file itself is replaced, and what it leads to stays.
    let over = folder(&mut store, &[("link", b"theirs")]);
    assert_eq!(write(&store, over, &into, false).unwrap_err().code(), "exists");
    write(&store, over, &into, true).unwrap();
    assert_eq!(fs::read(into.join("link")).unwrap(), b"theirs");
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
    // A folder in the place of a file stays.
    fs::create_dir(into.join("dir")).unwrap();
    let on_dir = folder(&mut store, &[("dir", b"theirs")]);
    assert_eq!(write(&store, on_dir, &into, true).unwrap_err().code(), "unsafe_path");
}

#[test]
fn a_part_that_was_left_behind_is_gone_on_with() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Store::new();
    let data: Vec<u8> = (0..900_000_u32).map(|at| (at / 1000) as u8).collect();
    let root = folder(&mut store, &[("big", &data)]);
    let files = list(&store, root).unwrap().files;
    // The third chunk is not here yet: two are in the part.
    let left = Cell::new(3_u32); // the manifest and two chunks
    let cut = get(&files, temp.path(), false, &mut |id| {
        let more = left.get() > 0;
        left.set(left.get().saturating_sub(1));
        Ok::<_, HostError>(store.get(&id).filter(|_| more).cloned())
    });
    assert_eq!(cut.unwrap_err().code(), "missing");
    assert!(!temp.path().join("big").exists());
    assert_eq!(parts(temp.path()), 1);
    write(&store, root, temp.path(), false).unwrap();
    assert_eq!(fs::read(temp.path().join("big")).unwrap(), data);
    assert_eq!(parts(temp.path()), 0);
    // A part that holds something else is put right.
    let id = files[0].blob.to_string();
    fs::write(temp.path().join(format!("{PART}{}", &id[7..39])), vec![9; 2_000_000]).unwrap();
    fs::remove_file(temp.path().join("big")).unwrap();
    write(&store, root, temp.path(), false).unwrap();
    assert_eq!(fs::read(temp.path().join("big")).unwrap(), data);
}

#[test]
fn reserved() {
    let mut store = Store::new();
    for path in [".git/config", "sub/.GIT/hooks/post-checkout", "git~1/x", ".lama-part-x"] {
        let root = folder(&mut store, &[(path, b"x")]);
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(write(&store, root, temp.path(), true).unwrap_err().code(), "reserved_name", "{path}");
        assert!(fs::read_dir(temp.path()).unwrap().next().is_none());
    }
    for name in ["con", "NUL.txt", "com1", "lpt9.x", "a.", "b ", "what?"] {
        assert!(is_reserved(name, true), "{name}");
        assert!(!is_reserved(name, false), "{name}");
    }
    for name in ["console", "com10", "git", ".gitignore", "aux1"] {
        assert!(!is_reserved(name, true), "{name}");
    }
}

#[test]
fn a_folder_that_never_ends_is_refused() {
    let mut store = Store::new();
    let mut inner = folder(&mut store, &[("x", b"x")]);
    // Each level holds the one below it twice: 2^30 files in all.
    for _ in 0..30 {
        let object = doubled(inner);
        inner = Cid::of_object(&object);
        store.insert(inner, object);
    }
    assert_eq!(list(&store, inner).unwrap_err().code(), "too_much");
}

/// A folder that holds `inner` twice.
fn doubled(inner: Cid) -> Bytes {
    #[derive(serde::Serialize)]
    struct Entry {
        kind: &'static str,
        name: &'static str,
        size: u64,
        target: Cid,
    }
    #[derive(serde::Serialize)]
    struct Doubled {
        name: &'static str,
        #[serde(rename = "$type$")]
        type_name: &'static str,
        entries: [Entry; 2],
    }
    let entry = |name| Entry { kind: "folder", name, size: 1, target: inner };
    let folder = Doubled { name: "f", type_name: "Folder", entries: [entry("a"), entry("b")] };
    lama_identity::cbor::encode(&folder).unwrap()
}

#[test]
fn ranges_read_what_they_need_and_no_more() {
    let mut store = Store::new();
    let data: Vec<u8> = (0..1_500_000_u32).map(|at| (at % 251) as u8).collect();
    let (root, size) = blob(&mut store, &data);
    for (start, end) in [
        (0, Some(10)),
        (262_143, Some(262_145)),
        (262_144, Some(524_288)),
        (700_000, Some(700_001)),
        (1_400_000, None),
        (0, None),
        (5, Some(5)),
        (size, None),
        (size + 9, Some(size + 10)),
        (1_499_999, Some(u64::MAX)),
    ] {
        let (mut read, mut fetched) = (Vec::new(), 0);
        let mut fetch = |id| {
            fetched += 1;
            Ok::<_, HostError>(store.get(&id).cloned())
        };
        let given = blob::range(root, start, end, &mut fetch, &mut |bytes| {
            read.extend_from_slice(bytes);
            Ok(true)
        });
        let clamp = |at: u64| usize::try_from(at.min(size)).unwrap();
        let expected = &data[clamp(start)..clamp(end.unwrap_or(size)).max(clamp(start))];
        assert_eq!((given.unwrap(), &read[..]), (expected.len() as u64, expected), "{start} {end:?}");
        assert!(fetched <= 2 + expected.len() / (256 << 10) + 1, "{start} {end:?}: {fetched} objects");
    }
}
