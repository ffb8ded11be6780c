//! Which names an entry of a folder may have. Whoever receives a folder writes these names to a disk.

use core::fmt;

use lama_identity::text::is_unsafe;

/// Longest name of one entry, in bytes of UTF-8.
pub const MAX_NAME: usize = 255;

/// Longest path, in bytes of UTF-8.
pub const MAX_PATH: usize = 1_024;

/// Folders inside folders.
pub const MAX_DEPTH: usize = 64;

/// Why a name or a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing between two separators, or nothing at all.
    Empty,
    /// A name above [`MAX_NAME`] or a path above [`MAX_PATH`] bytes.
    TooLong,
    /// `.` or `..`.
    Dots,
    /// A path that begins at a root: `/`, or a drive letter.
    Absolute,
    /// `/` or `\` in a name, or `:`, which some systems read as a drive or a hidden part of a file.
    Separator,
    /// A control character, or one that turns the reading direction or cannot be seen.
    Control,
    /// More folders inside folders than [`MAX_DEPTH`].
    TooDeep,
}

impl NameError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "name-empty",
            Self::TooLong => "name-too-long",
            Self::Dots => "name-dots",
            Self::Absolute => "name-absolute",
            Self::Separator => "name-separator",
            Self::Control => "name-control",
            Self::TooDeep => "name-too-deep",
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a name in the path is empty; name every folder and file",
            Self::TooLong => "a name has more than 255 bytes or a path more than 1,024; shorten it",
            Self::Dots => "`.` and `..` are no names; give the path below the folder",
            Self::Absolute => "the path begins at a root or a drive; give the path below the folder",
            Self::Separator => {
                "a name holds `\\`, `/` or `:`, which some systems take for a separator; rename the file"
            }
            Self::Control => "a name holds a control or invisible character; rename the file",
            Self::TooDeep => "there are more than 64 folders inside one another; share a folder further down",
        })
    }
}

impl core::error::Error for NameError {}

/// Whether one entry may have this name.
///
/// # Errors
/// The rule that it breaks.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots);
    }
    if name.contains(['/', '\\', ':']) {
        return Err(NameError::Separator);
    }
    if name.contains(is_unsafe) {
        return Err(NameError::Control);
    }
    Ok(())
}

/// Whether a path below a folder, its parts separated by `/`, is made of names that an entry may have.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_path(path: &str) -> Result<(), NameError> {
    if path.len() > MAX_PATH {
        return Err(NameError::TooLong);
    }
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if path.starts_with(['/', '\\']) || drive {
        return Err(NameError::Absolute);
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(NameError::TooDeep);
    }
    path.split('/').try_for_each(check_name)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn names_and_paths() {
        for (path, result) in [
            ("a", Ok(())),
            ("src/main.rs", Ok(())),
            (".hidden/..double", Ok(())),
            ("Grüße/你好 (1).txt", Ok(())),
            ("", Err(NameError::Empty)),
            ("a//b", Err(NameError::Empty)),
            ("a/", Err(NameError::Empty)),
            ("/etc/passwd", Err(NameError::Absolute)),
            ("\\\\host\\share", Err(NameError::Absolute)),
            ("C:\\x", Err(NameError::Absolute)),
            ("c:x", Err(NameError::Absolute)),
            ("..", Err(NameError::Dots)),
            ("a/../../b", Err(NameError::Dots)),
            ("./a", Err(NameError::Dots)),
            ("a\\..\\b", Err(NameError::Separator)),
            ("file.txt:stream", Err(NameError::Separator)),
            ("a\0b", Err(NameError::Control)),
            ("a\nb", Err(NameError::Control)),
            ("a\u{9b}b", Err(NameError::Control)),
            ("exe.\u{202e}txt", Err(NameError::Control)),
        ] {
            assert_eq!(check_path(path), result, "{path:?}");
        }
        assert_eq!(check_name("a/b"), Err(NameError::Separator));
        assert_eq!(check_name(&"x".repeat(MAX_NAME)), Ok(()));
        assert_eq!(check_name(&"x".repeat(MAX_NAME + 1)), Err(NameError::TooLong));
        for more in [1, 2, MAX_PATH] {
            assert_eq!(check_path(&"x".repeat(MAX_PATH + more)), Err(NameError::TooLong));
        }
        let most = alloc::vec!["x".repeat(127); 8].join("/") + "y";
        assert_eq!((most.len(), check_path(&most)), (MAX_PATH, Ok(())));
        let deep: String = "x/".repeat(MAX_DEPTH) + "x";
        assert_eq!(check_path(&deep), Err(NameError::TooDeep));
        assert_eq!(check_path(&deep[2..]), Ok(()));
    }
}
