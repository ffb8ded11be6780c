//! Folders: what is found, what is left out, what is new.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let full = root.join(path);
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    fs::write(full, text).unwrap();
}

fn sorted(mut changes: Changes) -> Changes {
    changes.written.sort();
    changes.removed.sort();
    changes
}

#[test]
fn walking_leaves_out_what_is_built_hidden_linked_or_data() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("folder");
    for path in ["a.txt", "sub/b.txt", "target/x", "sub/target/x", ".git/x", ".hidden", "data/store.redb"] {
        write(&root, path, "x");
    }
    write(temp.path(), "outside/secret", "x");
    symlink(temp.path().join("outside"), root.join("link")).unwrap();
    symlink(temp.path().join("outside/secret"), root.join("link.txt")).unwrap();
    let mut folder = Folder::new(&root, &[root.join("data")], Limits::default()).unwrap();
    assert!(!folder.is_tracked());
    assert_eq!(sorted(folder.look().unwrap()).written, ["a.txt", "sub/b.txt"]);
    assert!(folder.look().unwrap().is_empty());
}

#[test]
fn what_is_written_and_removed_is_found_by_the_next_look() {
    let temp = tempfile::tempdir().unwrap();
    write(temp.path(), "a", "1");
    write(temp.path(), "b", "1");
    let mut folder = Folder::new(temp.path(), &[], Limits::default()).unwrap();
    folder.look().unwrap();
    write(temp.path(), "a", "longer");
    write(temp.path(), "c", "1");
    fs::remove_file(temp.path().join("b")).unwrap();
    let changes = sorted(folder.look().unwrap());
    assert_eq!(changes.written, ["a", "c"]);
    assert_eq!(changes.removed, ["b"]);
}

#[test]
fn git_gives_tracked_files_and_later_ones_but_not_those_that_lay_about() {
    let temp = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let done = Command::new("git").arg("-C").arg(temp.path()).args(args).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q"]) {
        return; // no git on this machine: the walk is tested above
    }
    write(temp.path(), "tracked", "x");
    write(temp.path(), ".gitignore", "ignored*\n");
    assert!(git(&["add", "tracked", ".gitignore"]));
    write(temp.path(), "private", "x");
    write(temp.path(), "ignored1", "x");
    let mut folder = Folder::new(temp.path(), &[], Limits::default()).unwrap();
    assert!(folder.is_tracked());
    assert_eq!(sorted(folder.look().unwrap()).written, [".gitignore", "tracked"]);
    write(temp.path(), "later", "x");
    write(temp.path(), "ignored2", "x");
    assert_eq!(folder.look().unwrap().written, ["later"]);
    // In the next run it lies about too, but it was shared before.
    let mut again = Folder::new(temp.path(), &[], Limits::default()).unwrap();
    again.keep_shared(["later".to_owned()]);
    assert_eq!(sorted(again.look().unwrap()).written, [".gitignore", "later", "tracked"]);
}

#[test]
fn limits_hold() {
    let temp = tempfile::tempdir().unwrap();
    write(temp.path(), "a/b/c", "12345");
    write(temp.path(), "d", "1");
    for limits in [
        Limits { files: 1, ..Limits::default() },
        Limits { file_bytes: 4, ..Limits::default() },
        Limits { depth: 1, ..Limits::default() },
    ] {
        let mut folder = Folder::new(temp.path(), &[], limits).unwrap();
        assert_eq!(folder.look().unwrap_err().code(), "too_much");
    }
}

#[test]
fn the_data_directory_of_any_instance_is_never_shared() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("folder");
    for path in
        ["a.txt", "mine/keys.lama", "mine/store.redb", "sub/theirs/keys.lama", "sub/theirs/deep/x", "sub/b"]
    {
        write(&root, path, "x");
    }
    let mut folder = Folder::new(&root, &[], Limits::default()).unwrap();
    assert_eq!(sorted(folder.look().unwrap()).written, ["a.txt", "sub/b"]);
    for inside in ["mine", "sub/theirs", "sub/theirs/deep"] {
        let refused = Folder::new(&root.join(inside), &[], Limits::default()).map(|_| ());
        assert!(matches!(refused, Err(HostError::HoldsKeys(_))), "{inside}: {refused:?}");
    }
    let mut put = |_| -> Result<(), HostError> { panic!("nothing of it is read") };
    symlink(root.join("mine/keys.lama"), root.join("innocent")).unwrap();
    for file in ["mine/keys.lama", "mine/store.redb", "sub/theirs/deep/x", "innocent"] {
        let refused = crate::objects::file(&root.join(file), &mut put);
        assert!(matches!(refused, Err(HostError::HoldsKeys(_))), "{file}: {refused:?}");
    }
}

#[test]
fn the_data_directory_of_an_instance_is_not_shared_though_git_lists_it() {
    let temp = tempfile::tempdir().unwrap();
    let done = Command::new("git").arg("-C").arg(temp.path()).args(["init", "-q"]).output();
    if !done.is_ok_and(|output| output.status.success()) {
        return; // no git on this machine
    }
    let mut folder = Folder::new(temp.path(), &[], Limits::default()).unwrap();
    write(temp.path(), "a.txt", "x");
    write(temp.path(), "bob/keys.lama", "x");
    write(temp.path(), "bob/store.redb", "x");
    assert!(folder.is_tracked());
    assert_eq!(folder.look().unwrap().written, ["a.txt"]);
}

#[test]
fn what_cannot_be_named_elsewhere_is_left_out_and_said() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["good", "back\\slash", "co:lon", "new\nline", "turn\u{202e}ed"] {
        write(temp.path(), name, "x");
    }
    use std::os::unix::ffi::OsStrExt;
    fs::write(temp.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    let mut folder = Folder::new(temp.path(), &[], Limits::default()).unwrap();
    assert_eq!(folder.look().unwrap().written, ["good"]);
    assert_eq!(folder.left_out().count, 5);
    assert!(folder.left_out().first.iter().any(|name| name == "co:lon"));
}

#[test]
fn a_folder_that_is_away_for_a_while_has_lost_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (root, away) = (temp.path().join("folder"), temp.path().join("away"));
    write(&root, "a", "1");
    let mut folder = Folder::new(&root, &[], Limits::default()).unwrap();
    folder.look().unwrap();
    fs::rename(&root, &away).unwrap();
    assert!(folder.look().unwrap().is_empty());
    fs::rename(&away, &root).unwrap();
    assert!(folder.look().unwrap().is_empty());
}
