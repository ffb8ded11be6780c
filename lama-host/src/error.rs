//! What can go wrong around a node, in words for the person who started it.

use std::fmt;
use std::path::{Path, PathBuf};

use lama_chum::blob::BlobError;
use lama_identity::Cid;

/// Why a key file did not open. Seen by logs at debug level and by tests; a person is shown one text for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockedCause {
    /// The file is whole, and the passphrase does not open it.
    WrongPassphrase,
    /// The file was altered or is cut short.
    Corrupt,
    /// The file belongs to another owner than the one expected.
    OtherOwner,
}

/// Everything that `lama-host` can refuse or fail at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// Caller: there is no data directory yet.
    NoDataDir(PathBuf),
    /// Caller: the directory already holds an identity.
    AlreadyInitialised(PathBuf),
    /// Caller: a file or directory that must be private can be read by others.
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether it is a directory.
        directory: bool,
    },
    /// Caller: another user owns it.
    NotOurs(PathBuf),
    /// Caller: another process works with this data directory.
    InUse(PathBuf),
    /// Caller: a passphrase is needed and none was given.
    PassphraseNeeded,
    /// Caller: something is to be sealed or opened under a passphrase of its own, and that was not given.
    NoPassphrase {
        /// What of.
        of: &'static str,
        /// The environment variable that may hold it.
        variable: &'static str,
        /// The option that names a descriptor.
        option: &'static str,
    },
    /// Caller: a passphrase was given that cannot be one.
    PassphraseUnfit(&'static str),
    /// Caller or disk: the key file does not open; the cause is for logs, not for people.
    Locked(LockedCause),
    /// Caller: the file is not a backup.
    NotABackup(PathBuf),
    /// Caller or disk: the first chunk of a backup does not open.
    BackupLocked,
    /// Disk: a backup ends early.
    BackupCut,
    /// Disk: a backup is damaged after a sound beginning.
    BackupDamaged,
    /// Caller: what is to be written is there already.
    FileExists(PathBuf),
    /// Limit: the format's version is newer than this program.
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// Caller or peer: a file, a folder or a name in it cannot be shared or written.
    Blob(BlobError),
    /// Caller: what was to be shared is, or lies in, the data directory of an instance.
    HoldsKeys(PathBuf),
    /// Caller: files with another content are in the way, and may not be replaced.
    Exists {
        /// The first of them.
        path: PathBuf,
        /// How many there are.
        count: u64,
    },
    /// Caller: a link, or something that is no folder, stands on the way to a file; nothing is written through it.
    Unsafe(PathBuf),
    /// Peer: a name that means something to other programs.
    Reserved(String),
    /// A part of what is to be written is not here (yet).
    Missing(Cid),
    /// Limit: a folder has more files, or a file more bytes, than the bound.
    TooMuch {
        /// What is too much.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The operating system said no.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// No entropy from the operating system.
    NoEntropy,
    /// Peer of the control socket: a line that is no request or answer.
    Control(String),
}

impl HostError {
    /// Wraps an error of the operating system with what was being done.
    pub fn io(doing: &'static str, path: &Path, cause: &std::io::Error) -> Self {
        Self::Io { doing, path: path.to_path_buf(), cause: cause.to_string() }
    }

    /// A stable word for scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoDataDir(_) => "no_data_dir",
            Self::AlreadyInitialised(_) => "already_initialised",
            Self::Exposed { .. } => "exposed",
            Self::NotOurs(_) => "not_ours",
            Self::InUse(_) => "in_use",
            Self::PassphraseNeeded | Self::NoPassphrase { .. } => "passphrase_needed",
            Self::PassphraseUnfit(_) => "passphrase_unfit",
            Self::Locked(_) => "locked",
            Self::NotABackup(_) => "backup_foreign",
            Self::BackupLocked => "backup_locked",
            Self::BackupCut => "backup_cut",
            Self::BackupDamaged => "backup_damaged",
            Self::FileExists(_) => "file_exists",
            Self::NewerVersion { .. } => "newer_version",
            Self::Blob(error) => error.code(),
            Self::HoldsKeys(_) => "holds_keys",
            Self::Exists { .. } => "exists",
            Self::Unsafe(_) => "unsafe_path",
            Self::Reserved(_) => "reserved_name",
            Self::Missing(_) => "missing",
            Self::TooMuch { .. } => "too_much",
            Self::Io { .. } => "io",
            Self::NoEntropy => "no_entropy",
            Self::Control(_) => "control",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDataDir(path) => {
                write!(f, "there is no instance in {}; make one with `lama init EMAIL`", path.display())
            }
            Self::AlreadyInitialised(path) => write!(
                f,
                "{} already holds an instance; choose another directory with --data, its keys are never overwritten",
                path.display()
            ),
            Self::Exposed { path, mode, directory } => write!(
                f,
                "{} can be reached by other users (mode {mode:04o}); run `chmod {} {}`",
                path.display(),
                if *directory { "700" } else { "600" },
                path.display()
            ),
            Self::NotOurs(path) => {
                write!(f, "{} belongs to another user; choose another directory with --data", path.display())
            }
            Self::InUse(path) => write!(
                f,
                "another process works with {}; stop it, or choose another directory with --data",
                path.display()
            ),
            Self::PassphraseNeeded => f.write_str(
                "the keys are locked by a passphrase and none was given; set LAMA_PASSPHRASE, use --passphrase-fd, \
                 or run in a terminal",
            ),
            Self::NoPassphrase { of, variable, option } => write!(
                f,
                "{of} takes a passphrase of its own and none was given; set {variable}, use {option}, or run in a terminal"
            ),
            Self::PassphraseUnfit(why) => write!(f, "this passphrase cannot be used: {why}"),
            Self::Locked(_) => f.write_str(
                "the keys do not open: the passphrase is wrong or the key file is damaged; try again, or restore the \
                 key file from a backup",
            ),
            Self::NotABackup(path) => write!(
                f,
                "{} is not a backup that `lama store export` made; name the right file",
                path.display()
            ),
            Self::BackupLocked => f.write_str(
                "the backup does not open: the passphrase is wrong or its beginning is damaged; try again, or use another \
                 copy of it",
            ),
            Self::BackupCut => f.write_str(
                "the backup ends early: it was not written or copied to its end; use another copy; nothing was taken \
                 from this one",
            ),
            Self::BackupDamaged => f.write_str(
                "the backup is damaged; use another copy; nothing was taken from this one",
            ),
            Self::FileExists(path) => {
                write!(f, "{} exists, and nothing is overwritten; name another file", path.display())
            }
            Self::NewerVersion { path, version } => write!(
                f,
                "{} has format version {version}, which is newer than this program; update it",
                path.display()
            ),
            Self::Blob(error) => error.fmt(f),
            Self::HoldsKeys(path) => write!(
                f,
                "{} is the data directory of an instance, and its keys are never shared; share something else",
                path.display()
            ),
            Self::Exists { path, count } => write!(
                f,
                "{count} of the files exist with another content, the first is {}; replace them with --force, or give \
                 another directory",
                path.display()
            ),
            Self::Unsafe(path) => write!(
                f,
                "{} cannot be written: a link, or something that is no folder or file, stands there, and links are \
                 not followed; move it away, or give another directory",
                path.display()
            ),
            Self::Reserved(name) => write!(
                f,
                "the name {name} means something to other programs, so it is not written; ask for single files with \
                 --file"
            ),
            Self::Missing(id) => {
                write!(f, "the object {id} is not here; wait until the two are in sync, and try again")
            }
            Self::TooMuch { what, limit } => write!(f, "{what}: more than {limit}; share a smaller part"),
            Self::Io { doing, path, cause } => write!(f, "cannot {doing} {}: {cause}", path.display()),
            Self::NoEntropy => f.write_str("the operating system gave no random bytes; nothing was written"),
            Self::Control(what) => {
                write!(f, "the running instance could not be asked: {what}; stop `lama run` and try again")
            }
        }
    }
}

impl std::error::Error for HostError {}
