//! Foreign text on a person's screen: nothing in it may move the cursor, hide itself or turn the reading direction.

use core::fmt::{self, Write as _};

/// Shows foreign text on one line: control, bidirectional, invisible and separating characters appear as
/// `\u{...}`, line breaks and tabs as `\n`, `\r`, `\t`. Letters of every script, and the joiners that scripts and
/// emoji need, stay as they are.
#[must_use]
pub const fn for_terminal(text: &str) -> ForTerminal<'_> {
    ForTerminal(text)
}

/// See [`for_terminal`].
#[derive(Debug, Clone, Copy)]
pub struct ForTerminal<'a>(&'a str);

/// Whether a character could act on a terminal or on the layout instead of being read.
#[must_use]
pub const fn is_unsafe(c: char) -> bool {
    matches!(c,
        // C0, DEL, C1
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // soft hyphen, Arabic letter mark, Mongolian vowel separator
        | '\u{ad}' | '\u{61c}' | '\u{180e}'
        // zero-width space, left-to-right and right-to-left marks
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        // line and paragraph separators, embeddings and overrides
        | '\u{2028}'..='\u{202e}'
        // word joiner, invisible operators, isolates, deprecated format characters
        | '\u{2060}'..='\u{206f}'
        // byte order mark, interlinear annotations, tags
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for ForTerminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if is_unsafe(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn nothing_acts_on_the_terminal() {
        for (text, shown) in [
            ("plain text, Grüße, שלום, 你好, 👩‍👩‍👧", "plain text, Grüße, שלום, 你好, 👩‍👩‍👧"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("safe\u{202e}fdp.exe", "safe\\u{202e}fdp.exe"),
            ("\u{9b}31m\u{7f}\u{2066}x\u{2069}\u{feff}", "\\u{9b}31m\\u{7f}\\u{2066}x\\u{2069}\\u{feff}"),
            ("a\u{200b}b\u{2028}c\u{e0041}", "a\\u{200b}b\\u{2028}c\\u{e0041}"),
        ] {
            assert_eq!(for_terminal(text).to_string(), shown);
        }
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control()) {
            assert!(is_unsafe(c), "{c:?}");
        }
    }
}
