//! Where a passphrase comes from: the environment, a file descriptor or a prompt. Never an argument, which every user
//! of the machine could read.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;

use rustix::termios::{self, LocalModes, OptionalActions};
use zeroize::Zeroizing;

use crate::HostError;

/// The environment variable.
pub const VARIABLE: &str = "LAMA_PASSPHRASE";

const MAX: usize = 4096;

/// A passphrase: wiped when dropped, never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text as it is.
    ///
    /// # Errors
    /// [`HostError::PassphraseUnfit`] when it is empty or longer than 4,096 bytes.
    pub fn new(text: String) -> Result<Self, HostError> {
        let text = Zeroizing::new(text);
        match text.len() {
            0 => Err(HostError::PassphraseUnfit(
                "it is empty; --no-passphrase is the explicit way to have none",
            )),
            1..=MAX => Ok(Self(text)),
            _ => Err(HostError::PassphraseUnfit("it is longer than 4,096 bytes")),
        }
    }

    /// The text, for handing it to another process of the same user.
    #[must_use]
    pub fn danger_expose(&self) -> &str {
        &self.0
    }

    /// What goes into the key derivation.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether two entries of the same passphrase agree.
    fn same(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl core::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Reads a passphrase from wherever the caller put it: descriptor `fd` if given, else the environment variable, else a
/// prompt if there is a terminal. `twice` asks again at the prompt, for a new passphrase.
///
/// # Errors
/// [`HostError::PassphraseNeeded`] when there is none of them, [`HostError::PassphraseUnfit`], [`HostError::Io`].
pub fn obtain(fd: Option<u32>, prompt: &str, twice: bool) -> Result<Passphrase, HostError> {
    if let Some(fd) = fd {
        return from_descriptor(fd);
    }
    if let Ok(text) = std::env::var(VARIABLE) {
        return Passphrase::new(text);
    }
    ask_terminal(prompt, twice)
}

fn ask_terminal(prompt: &str, twice: bool) -> Result<Passphrase, HostError> {
    if !std::io::stdin().is_terminal() {
        return Err(HostError::PassphraseNeeded);
    }
    let first = ask(prompt)?;
    if twice && !first.same(&ask("Again, to be sure: ")?) {
        return Err(HostError::PassphraseUnfit("the two entries differ"));
    }
    Ok(first)
}

/// A passphrase from descriptor `fd`, or asked for on the terminal, `twice` if it is a new one; not from the environment
/// variable, which holds another one.
///
/// # Errors
/// `missing` where there is nobody to ask; else as [`obtain`].
pub fn ask_or_read(
    fd: Option<u32>,
    prompt: &str,
    twice: bool,
    missing: HostError,
) -> Result<Passphrase, HostError> {
    match fd {
        Some(fd) => from_descriptor(fd),
        None if !std::io::stdin().is_terminal() => Err(missing),
        None => ask_terminal(prompt, twice),
    }
}

/// The first line of descriptor `fd` (0 is standard input).
fn from_descriptor(fd: u32) -> Result<Passphrase, HostError> {
    if fd == 0 {
        return first_line(std::io::stdin().lock(), PathBuf::from("standard input"));
    }
    let path = PathBuf::from(format!("/dev/fd/{fd}"));
    let file = File::open(&path).map_err(|error| HostError::io("read a passphrase from", &path, &error))?;
    first_line(BufReader::new(file), path)
}

fn first_line(source: impl BufRead, path: PathBuf) -> Result<Passphrase, HostError> {
    let mut line = Zeroizing::new(String::with_capacity(MAX));
    source
        .take(MAX as u64 + 2)
        .read_line(&mut line)
        .map_err(|error| HostError::io("read a passphrase from", &path, &error))?;
    Passphrase::new(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks on the terminal, without echo.
fn ask(prompt: &str) -> Result<Passphrase, HostError> {
    let path = PathBuf::from("/dev/tty");
    let fail =
        |error: std::io::Error| HostError::io("ask for a passphrase on", &PathBuf::from("/dev/tty"), &error);
    let mut terminal = File::options().read(true).write(true).open(&path).map_err(fail)?;
    terminal.write_all(prompt.as_bytes()).map_err(fail)?;
    let before = termios::tcgetattr(&terminal).map_err(|errno| fail(errno.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    termios::tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|errno| fail(errno.into()))?;
    let answer = first_line(BufReader::new(&terminal), path);
    termios::tcsetattr(&terminal, OptionalActions::Flush, &before).map_err(|errno| fail(errno.into()))?;
    answer
}
