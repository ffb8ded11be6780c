//! Key files: right and wrong passphrases, every damaged byte, and a crash at every step of a change.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const OWNER: [u8; 32] = [7; 32];

fn pass(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn secrets() -> Vec<Secret> {
    vec![
        ("person".to_owned(), Zeroizing::new(vec![1; 64])),
        ("instance".to_owned(), Zeroizing::new(b"another secret".to_vec())),
    ]
}

/// A file's content now, and what of it a power failure leaves.
#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: bool,
}

/// A disk that fails before its n-th operation and then loses what was not made durable, in one of several ways.
#[derive(Clone, Default)]
struct FailingDisk {
    files: BTreeMap<PathBuf, Content>,
    durable_names: BTreeMap<PathBuf, Content>,
    operations: usize,
    fail_at: Option<usize>,
    half_written: bool,
}

impl FailingDisk {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.fail_at.is_some_and(|at| self.operations > at) {
            return Err(io::Error::other("power failure"));
        }
        Ok(())
    }

    /// What is found after the power failure: `names_kept` says whether renames and new names that were not made durable
    /// survived; content that was not made durable is cut to half.
    fn after_power_failure(&self, names_kept: bool) -> Self {
        let names = if names_kept { &self.files } else { &self.durable_names };
        let torn = |content: &Content| {
            let keep = if content.synced { content.now.len() } else { content.now.len() / 2 };
            Content { now: content.now[..keep].to_vec(), synced: true }
        };
        let files: BTreeMap<_, _> =
            names.iter().map(|(name, content)| (name.clone(), torn(content))).collect();
        Self { durable_names: files.clone(), files, ..Self::default() }
    }
}

impl Files for FailingDisk {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.step() {
            if self.half_written {
                let half = Content { now: bytes[..bytes.len() / 2].to_vec(), synced: false };
                self.files.insert(path.to_path_buf(), half);
            }
            return Err(error);
        }
        self.files.insert(path.to_path_buf(), Content { now: bytes.to_vec(), synced: false });
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?.synced = true;
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let content = self.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files.insert(to.to_path_buf(), content);
        Ok(())
    }

    fn sync_dir(&mut self, _: &Path) -> io::Result<()> {
        self.step()?;
        self.durable_names = self.files.clone();
        Ok(())
    }

    fn read(&mut self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let content = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if content.now.len() > limit {
            Err(io::ErrorKind::InvalidData.into())
        } else {
            Ok(content.now.clone())
        }
    }
}

fn stored(passphrase: Option<&Passphrase>) -> (FailingDisk, PathBuf) {
    let mut disk = FailingDisk::default();
    let path = PathBuf::from("/data/keys.lama");
    store(&mut disk, &path, &OWNER, passphrase, CHEAP, &secrets()).unwrap();
    (disk, path)
}

#[test]
fn opens_with_its_passphrase_only() {
    let (mut disk, path) = stored(Some(&pass("correct horse")));
    assert_eq!(protection(&mut disk, &path).unwrap(), Protection::Passphrase);
    assert_eq!(open(&mut disk, &path, Some(&pass("correct horse"))).unwrap(), (OWNER, secrets()));
    assert_eq!(open(&mut disk, &path, None), Err(HostError::PassphraseNeeded));
    let wrong = open(&mut disk, &path, Some(&pass("incorrect horse"))).unwrap_err();
    assert_eq!(wrong, HostError::Locked(LockedCause::WrongPassphrase));
}

#[test]
fn none_is_explicit_and_opens_without() {
    let (mut disk, path) = stored(None);
    assert_eq!(protection(&mut disk, &path).unwrap(), Protection::None);
    assert_eq!(open(&mut disk, &path, None).unwrap(), (OWNER, secrets()));
    assert_eq!(open(&mut disk, &path, Some(&pass("needless"))).unwrap().0, OWNER);
}

#[test]
fn wrong_and_damaged_differ_inside_and_look_the_same_outside() {
    let wrong = HostError::Locked(LockedCause::WrongPassphrase);
    let damaged = HostError::Locked(LockedCause::Corrupt);
    assert_ne!(wrong, damaged);
    assert_eq!(wrong.code(), damaged.code());
    assert_eq!(wrong.to_string(), damaged.to_string());
}

#[test]
fn every_damaged_byte_and_every_cut_is_found() {
    let passphrase = pass("correct horse");
    let (disk, path) = stored(Some(&passphrase));
    let whole = disk.files[&path].now.clone();
    for index in 0..whole.len() {
        for damage in [|b: &mut Vec<u8>, i: usize| b[i] ^= 1, |b: &mut Vec<u8>, i: usize| b.truncate(i)] {
            let mut bytes = whole.clone();
            damage(&mut bytes, index);
            let mut disk = disk.clone();
            disk.files.get_mut(&path).unwrap().now = bytes;
            assert!(open(&mut disk, &path, Some(&passphrase)).is_err(), "byte {index}");
        }
    }
}

#[test]
fn a_file_that_asks_for_too_much_memory_is_refused() {
    let mut disk = FailingDisk::default();
    let path = PathBuf::from("/data/keys.lama");
    let cost = Cost { memory_kib: DEAREST.memory_kib + 1, ..CHEAP };
    store(&mut disk, &path, &OWNER, None, cost, &secrets()).unwrap();
    assert_eq!(open(&mut disk, &path, None), Err(HostError::Locked(LockedCause::Corrupt)));
}

#[test]
fn a_newer_version_says_so() {
    let (mut disk, path) = stored(None);
    disk.files.get_mut(&path).unwrap().now[7] = 2;
    assert!(matches!(open(&mut disk, &path, None), Err(HostError::NewerVersion { version: 2, .. })));
}

#[test]
fn a_crash_at_every_step_of_a_change_leaves_the_old_or_the_new_passphrase() {
    let (old, new) = (pass("the old one"), pass("the new one"));
    let (disk, path) = stored(Some(&old));
    let mut cases = 0;
    let mut complete = false;
    for fail_at in 0.. {
        for (half_written, names_kept) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut failing = disk.clone();
            (failing.operations, failing.fail_at, failing.half_written) = (0, Some(fail_at), half_written);
            complete = change(&mut failing, &path, Some(&old), Some(&new), CHEAP).is_ok();
            let mut found = failing.after_power_failure(names_kept);
            let with_old = open(&mut found, &path, Some(&old));
            let with_new = open(&mut found, &path, Some(&new));
            let opened = with_old.as_ref().or(with_new.as_ref()).expect("one of the two opens");
            assert_eq!(opened, &(OWNER, secrets()));
            assert!(!complete || with_new.is_ok(), "an acknowledged change is durable");
            // And the next change works, whatever lies about.
            let working = if with_old.is_ok() { &old } else { &new };
            change(&mut found, &path, Some(working), Some(&pass("third")), CHEAP).unwrap();
            assert!(open(&mut found, &path, Some(&pass("third"))).is_ok());
            cases += 1;
        }
        if complete {
            break;
        }
    }
    assert!(cases >= 16, "{cases} cases");
    println!("{cases} crashes in the middle of a change");
}

#[test]
fn a_change_replaces_the_master_key_and_may_take_the_passphrase_away() {
    let old = pass("the old one");
    let (mut disk, path) = stored(Some(&old));
    let before = disk.files[&path].now.clone();
    change(&mut disk, &path, Some(&old), None, CHEAP).unwrap();
    assert_eq!(open(&mut disk, &path, None).unwrap().1, secrets());
    let after = &disk.files[&path].now;
    assert_ne!(before[before.len() - 64..], after[after.len() - 64..]);
}

#[test]
fn a_secret_is_added_and_the_others_stay() {
    let mut disk = FailingDisk::default();
    let path = PathBuf::from("keys");
    let phrase = pass("phrase");
    store(&mut disk, &path, &OWNER, Some(&phrase), CHEAP, &secrets()).unwrap();
    let added = ("storage".to_owned(), Zeroizing::new(vec![9; 32]));
    add(&mut disk, &path, Some(&phrase), CHEAP, added.clone()).unwrap();
    let expected = [secrets(), vec![added.clone()]].concat();
    assert_eq!(open(&mut disk, &path, Some(&phrase)).unwrap(), (OWNER, expected.clone()));
    // Another one under the same name takes its place; and a change of the passphrase keeps it as it is.
    add(&mut disk, &path, Some(&phrase), CHEAP, added).unwrap();
    change(&mut disk, &path, Some(&phrase), None, CHEAP).unwrap();
    assert_eq!(open(&mut disk, &path, None).unwrap(), (OWNER, expected));
}
