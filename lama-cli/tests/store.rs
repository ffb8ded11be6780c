//! The store at rest, as a shell sees it: check, compact, export, import, and the key under which it is sealed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Instance, Place, failure, json, paired, until};
use lama_host::keyfile::{self, Cost};
use lama_host::{Disk, Passphrase};
use serde_json::Value;

const PHRASE: &str = "the passphrase of the backup";

fn export(instance: &Instance, file: &Path) -> Command {
    let mut command = instance.command(&["store", "export"]);
    command.arg(file).env("LAMA_BACKUP_PASSPHRASE", PHRASE);
    command
}

fn import(instance: &Instance, file: &Path, phrase: &str) -> Command {
    let mut command = instance.command(&["store", "import", "--no-passphrase"]);
    command.arg(file).env("LAMA_BACKUP_PASSPHRASE", phrase);
    command
}

fn texts(instance: &Instance) -> Vec<String> {
    let log = instance.json(&["log"]);
    let channels = log["channels"].as_array().unwrap();
    let messages = channels.iter().flat_map(|channel| channel["messages"].as_array().unwrap());
    messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

fn code(failed: &(i32, Value)) -> (i32, &str) {
    (failed.0, failed.1["code"].as_str().unwrap_or_default())
}

#[test]
fn a_restored_instance_and_its_contact_come_to_the_same() {
    let place = Place::new();
    let (a, b) = (place.person("a@lama.local", "tokio"), place.person("b@lama.local", "smol"));
    let (at_a, _at_b) = paired(&a, &b);
    a.json(&["send", "b@lama.local", "in the backup"]);
    a.json(&["invite", "--no-wait", "--label", "open when the backup was made"]);
    at_a.stop();
    let file = place.path().join("backup");
    let exported = json(&mut export(&a, &file));
    assert_eq!(exported["bytes"], fs::metadata(&file).unwrap().len());
    assert!(exported["rows"].as_u64().unwrap() > 10, "{exported}");
    assert_eq!(common_mode(&file), 0o600);

    let at_a = a.start();
    a.json(&["send", "b@lama.local", "after the backup"]);
    until("b has what came after the backup", || texts(&b).contains(&"after the backup".to_owned()));
    at_a.kill();
    fs::remove_dir_all(&a.dir).unwrap();

    let again = Instance { dir: place.path().join("again"), ..a };
    let imported = json(&mut import(&again, &file, PHRASE));
    assert_eq!(imported["id"]["email"], "a@lama.local");
    assert_eq!(imported["revoked"], 1, "{imported}");
    assert_eq!(again.json(&["store", "check"])["sound"], true);
    assert_eq!(texts(&again), ["in the backup"]);
    let _running = again.start();
    until("b has brought back what the backup did not have", || {
        texts(&again).contains(&"after the backup".to_owned())
    });
    again.json(&["send", "b@lama.local", "life goes on"]);
    until("b hears of it", || texts(&b).contains(&"life goes on".to_owned()));
    until("both have the same", || texts(&again) == texts(&b));
    assert_eq!(again.json(&["store", "check"])["sound"], true);
}

fn common_mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_that_does_not_open_or_ends_early_leaves_nothing() {
    let place = Place::new();
    let a = place.person("a@lama.local", "tokio");
    a.json(&["status"]);
    let file = place.path().join("backup");
    let mut silent = export(&a, &file);
    let untold = failure(silent.env_remove("LAMA_BACKUP_PASSPHRASE"));
    assert_eq!(code(&untold), (5, "passphrase_needed"));
    let message = untold.1["message"].as_str().unwrap();
    assert!(message.contains("LAMA_BACKUP_PASSPHRASE") && !message.contains("locked"), "{message}");
    json(&mut export(&a, &file));
    assert_eq!(code(&failure(&mut export(&a, &file))), (4, "file_exists"), "nothing is overwritten");

    let again = place.instance("again");
    assert_eq!(code(&failure(&mut import(&again, &file, "another"))), (5, "backup_locked"));
    let whole = fs::read(&file).unwrap();
    let cut = place.path().join("cut");
    fs::write(&cut, &whole[..whole.len() - 100]).unwrap();
    assert_eq!(code(&failure(&mut import(&again, &cut, PHRASE))), (1, "backup_cut"));
    let mut changed = whole;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&cut, &changed).unwrap();
    let refused = failure(&mut import(&again, &cut, PHRASE));
    assert!(["backup_locked", "backup_damaged"].contains(&code(&refused).1), "{refused:?}");
    fs::write(&cut, b"something else").unwrap();
    assert_eq!(code(&failure(&mut import(&again, &cut, PHRASE))), (4, "backup_foreign"));
    let left: Vec<_> = fs::read_dir(&again.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);

    json(&mut import(&again, &file, PHRASE));
    let id = |instance: &Instance| instance.json(&["id"])["person"].clone();
    assert_eq!(id(&again), id(&a));
    assert_eq!(code(&failure(&mut import(&again, &file, PHRASE))), (4, "already_initialised"));
}

#[test]
fn the_store_is_checked_in_a_running_instance_and_without_one() {
    let place = Place::new();
    let a = place.person("a@lama.local", "tokio");
    let folder = place.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "content that is found in the file of the store".repeat(200)).unwrap();
    let b = place.person("b@lama.local", "tokio");
    let (running, _at_b) = paired(&a, &b);
    a.json(&["share", folder.to_str().unwrap()]);
    let kept = a.json(&["quota", "b@lama.local", "--days", "30"]);
    assert_eq!((&kept["days"], &kept["max_objects"]), (&30.into(), &100_000_000.into()), "{kept}");
    assert_eq!(a.json(&["quota", "b@lama.local", "--none"])["days"], Value::Null);
    let checked = a.json(&["store", "check"]);
    assert_eq!(checked["sound"], true);
    assert!(checked["objects"].as_u64().unwrap() > 3, "{checked}");
    assert_eq!(code(&a.failure(&["store", "compact"])), (4, "in_use"));
    running.stop();
    assert_eq!(a.json(&["store", "check"])["objects"], checked["objects"]);

    let compacted = a.json(&["store", "compact"]);
    let after = fs::metadata(a.dir.join("store.redb")).unwrap().len();
    assert_eq!(compacted["after"], after);
    assert!(compacted["before"].as_u64().unwrap() >= after, "{compacted}");
    assert_eq!(a.json(&["store", "check"])["objects"], checked["objects"]);

    // All that was shared is held by somebody.
    let looked = a.json(&["store", "compact", "--collect", "--dry-run"]);
    assert_eq!((&looked["collected"], &looked["after"]), (&0.into(), &0.into()), "{looked}");
    let said = String::from_utf8(a.run(&["store", "compact", "--collect"]).stdout).unwrap();
    assert!(said.starts_with("nobody held 0 objects") && said.contains("before"), "{said}");
    assert_eq!(a.json(&["store", "check"])["objects"], checked["objects"]);

    let mended = a.json(&["store", "check", "--repair"]);
    assert_eq!((&mended["sound"], &mended["index"], &mended["lost"]), (&true.into(), &0.into(), &0.into()));

    // The disk changes a byte in the middle of a file that was shared.
    let path = a.dir.join("store.redb");
    let mut bytes = fs::read(&path).unwrap();
    let needle = b"found in the file of the store";
    let at = bytes.windows(needle.len()).position(|part| part == needle).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let failed = a.failure(&["store", "check"]);
    assert_eq!(code(&failed), (9, "store-corrupt"), "{failed:?}");
}

#[test]
fn the_storage_key_lies_in_the_key_file_and_a_passphrase_leaves_the_store_alone() {
    let place = Place::new();
    let a = place.person("a@lama.local", "tokio");
    a.json(&["invite", "--no-wait"]);
    let (keys, store) = (a.dir.join("keys.lama"), a.dir.join("store.redb"));
    let before = fs::read(&store).unwrap();
    json(a.command(&["passphrase"]).env("LAMA_NEW_PASSPHRASE", "new"));
    assert_eq!(fs::read(&store).unwrap(), before);
    let phrase = Passphrase::new("new".to_owned()).unwrap();
    let (owner, secrets) = keyfile::open(&mut Disk, &keys, Some(&phrase)).unwrap();
    let storage = secrets.iter().find(|(name, _)| name == "storage").unwrap().1.clone();
    assert!(!before.windows(32).any(|part| part == storage.as_slice()));
    let pending = json(a.command(&["pending"]).env("LAMA_PASSPHRASE", "new"));
    assert_eq!(pending["invitations"].as_array().unwrap().len(), 1);

    // A key file from before has no such key and gets one; for a store that is sealed already it is the wrong one.
    let identity: Vec<_> = secrets.into_iter().filter(|(name, _)| name == "identity").collect();
    let cheap = Cost { memory_kib: 8, passes: 1, lanes: 1 };
    keyfile::store(&mut Disk, &keys, &owner, None, cheap, &identity).unwrap();
    assert_eq!(code(&a.failure(&["pending"])), (1, "store-wrong-key"));
    fs::remove_file(&store).unwrap();
    a.json(&["pending"]);
    let (_, secrets) = keyfile::open(&mut Disk, &keys, None).unwrap();
    assert_eq!(secrets.len(), 2);
    assert_eq!(a.json(&["store", "check"])["sound"], true);
}
