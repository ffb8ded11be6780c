//! A debug bundle: what helps whoever looks for a fault, without what is nobody's business.
//!
//! Texts, keys, invitations and settings are never read for it. What names people is replaced, always by the same stand-in, so
//! that the reader still sees who is who: e-mail addresses, ids (an id follows from the address), names of instances,
//! hosts that are not this machine, and the path of the data.

use std::collections::BTreeMap;

use serde_json::Value;

/// Stands before what follows the word in a log line or a text.
const BREAKS: &[char] = &[' ', '\t', '"', '\'', '<', '>', '(', ')', '[', ']', '{', '}', ',', ';', '='];

/// What is replaced, and by what.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    words: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Redactor {
    /// A word that stands for somebody or something of this kind; its first 16 characters alone do, too, where it is an id.
    pub(crate) fn add(&mut self, kind: &'static str, word: &str) {
        // What is shorter stands in other words by chance, and tells nobody anything.
        if word.len() < 3 || self.words.contains_key(word) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let stand_in = format!("<{kind} {count}>");
        if let Some(short) = word.get(..16).filter(|_| word.len() > 40) {
            self.words.insert(short.to_owned(), stand_in.clone());
        }
        self.words.insert(word.to_owned(), stand_in);
    }

    /// A path and its stand-in.
    pub(crate) fn path(&mut self, path: &str, stand_in: &str) {
        if path.len() > 1 {
            self.words.insert(path.to_owned(), stand_in.to_owned());
        }
    }

    /// Everything in it but the names of fields.
    pub(crate) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(list) => Value::Array(list.into_iter().map(|value| self.value(value)).collect()),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().map(|(name, value)| (name, self.value(value))).collect())
            }
            other => other,
        }
    }

    /// A text.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // The longest first: an id before its beginning, a path before the one above it.
        let mut words: Vec<(&String, &String)> = self.words.iter().collect();
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        for (word, stand_in) in words {
            text = text.replace(word.as_str(), stand_in);
        }
        mailboxes(&hosts(&text))
    }
}

/// URLs without foreign hosts, and without what follows `#`: secrets of invitations, keys and names of routes.
fn hosts(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        // In a URL `=` is no end: a relay's key stands behind one.
        let end = url.find(|c| c != '=' && BREAKS.contains(&c)).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let url = url.split(['#', '?']).next().unwrap_or_default();
        let (authority, path) = url.find('/').map_or((url, ""), |slash| url.split_at(slash));
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "[") {
            out.push_str(authority);
            out.push_str(path);
        } else {
            out.push_str("<host>");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Anything that looks like an e-mail address.
fn mailboxes(text: &str) -> String {
    let is_mailbox =
        |word: &str| word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    text.split_inclusive(BREAKS)
        .map(|part| {
            let word = part.trim_end_matches(BREAKS);
            if is_mailbox(word) { part.replacen(word, "<e-mail>", 1) } else { part.to_owned() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_people_is_replaced_and_who_is_who_stays_visible() {
        let mut redactor = Redactor::default();
        let id = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst";
        redactor.add("person", id);
        redactor.add("e-mail", "ada@lama.test");
        redactor.path("/srv/ada/lama", "<data>");
        let text = format!(
            "{} dialled by ada@lama.test at wss://relay.example:443/x#k=SECRET, ws://localhost:8765; bob@x.y \
             (/srv/ada/lama/store.redb) {id}",
            &id[..16]
        );
        assert_eq!(
            redactor.text(&text),
            "<person 1> dialled by <e-mail 1> at wss://<host>, ws://localhost:8765; <e-mail> (<data>/store.redb) <person 1>"
        );
    }
}
