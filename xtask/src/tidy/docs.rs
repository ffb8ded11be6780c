//! What the documents name has to be there: paths of files, Rust paths such as `lama_node::Node`, and in
//! `docs/acceptance.md` every test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::files::tracked;
use crate::run::{self, Failure};

/// Where every name with an underscore is that of a test.
const ACCEPTANCE: &str = "docs/acceptance.md";

/// Endings of paths that are looked up.
const ENDINGS: &[&str] = &["rs", "md", "py", "sh", "toml", "json", "cbor"];

/// Checks every tracked document.
pub(super) fn check(findings: &mut Vec<String>) -> Result<(), Failure> {
    let (mut words, mut functions) = (BTreeSet::new(), BTreeSet::new());
    let mut documents = Vec::new();
    for path in tracked()? {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let Ok(text) = fs::read_to_string(run::root().join(&path)) else { continue };
        match ending {
            "rs" | "py" => gather(&text, &mut words, &mut functions),
            "md" => documents.push((path, text)),
            _ => {}
        }
    }
    for (path, text) in documents {
        let acceptance = path == Path::new(ACCEPTANCE);
        for (line, span) in spans(&text) {
            let wrong = match kind(span) {
                Kind::File => !exists(&path, span),
                Kind::Rust(last) => !words.contains(last),
                Kind::Name if acceptance => !functions.contains(span),
                Kind::Name | Kind::Other => false,
            };
            if wrong {
                findings.push(format!("{}:{line} names `{span}`, which is not there", path.display()));
            }
        }
    }
    Ok(())
}

/// The identifiers of a source file, and those that follow `fn` or `def`.
fn gather(text: &str, words: &mut BTreeSet<String>, functions: &mut BTreeSet<String>) {
    let mut before = "";
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()) {
        if matches!(before, "fn" | "def") {
            functions.insert(word.to_owned());
        }
        words.insert(word.to_owned());
        before = word;
    }
}

/// What a piece of code in a document names.
#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    File,
    /// The last part of a path of Rust.
    Rust(&'a str),
    /// A name with an underscore.
    Name,
    Other,
}

fn kind(span: &str) -> Kind<'_> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let ending = span.rsplit_once('.').map(|(_, ending)| ending);
    if span.contains('/')
        && !span.starts_with('/')
        && span.chars().all(plain)
        && ending.is_some_and(|e| ENDINGS.contains(&e))
    {
        return Kind::File;
    }
    let name = span.strip_suffix("()").unwrap_or(span);
    let parts: Vec<&str> = name.split("::").collect();
    match parts.as_slice() {
        [one] if one.contains('_') && is_name(one) => Kind::Name,
        [_, .., last] if parts.iter().all(|part| is_name(part)) => Kind::Rust(last),
        _ => Kind::Other,
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// From the root of the project, or from where the document stands.
fn exists(document: &Path, named: &str) -> bool {
    let root = run::root();
    let beside = document.parent().map(|parent| root.join(parent).join(named));
    root.join(named).exists() || beside.is_some_and(|path| path.exists())
}

/// Code inside lines, outside of fences, with its line from 1.
fn spans(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (number + 1, span)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_in_lines_and_not_in_fences() {
        let text = "a `b` c `d::e`\n```\n`f`\n```\n| `g/h.rs` |";
        assert_eq!(spans(text), [(1, "b"), (1, "d::e"), (5, "g/h.rs")]);
    }

    #[test]
    fn kinds() {
        assert_eq!(kind("lama-net/tests/door.rs"), Kind::File);
        assert_eq!(kind("lama_node::Node"), Kind::Rust("Node"));
        assert_eq!(kind("Machine::poll()"), Kind::Rust("poll"));
        assert_eq!(kind("a_test_of_this"), Kind::Name);
        for other in ["lama run", "/etc/x.rs", "vectors/*.json", "ws://localhost:8765", "Node", "a/b"] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
    }

    #[test]
    fn functions_are_told_from_other_words() {
        let (mut words, mut functions) = (BTreeSet::new(), BTreeSet::new());
        gather("pub fn one(two: Three) {}", &mut words, &mut functions);
        assert!(words.contains("Three") && functions.contains("one") && !functions.contains("two"));
    }
}
