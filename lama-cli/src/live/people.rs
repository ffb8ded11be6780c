//! Which person is meant by an e-mail address or the beginning of an id.

use lama_identity::{Email, PersonId};

use crate::failure::{Exit, Failure};

/// The fewest characters of an id that name somebody.
pub(super) const SHORTEST: usize = 4;

/// Finds the one person among `known` (id and e-mail) that `text` names.
pub(super) fn find<'a>(
    text: &str,
    known: impl Iterator<Item = (PersonId, &'a str)>,
    among: &str,
) -> Result<PersonId, Failure> {
    let email: Option<Email> = text.parse().ok();
    let id = text.to_ascii_lowercase();
    let is_meant = |person: PersonId, address: &str| match &email {
        Some(email) => email.as_str() == address,
        None => id.len() >= SHORTEST && person.full().starts_with(&id),
    };
    let mut found: Vec<PersonId> =
        known.filter(|(person, address)| is_meant(*person, address)).map(|(person, _)| person).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::new(
            Exit::RefusedByRule,
            "unknown_person",
            format!("{text} is not among {among}; `lama contacts` and `lama pending` show who is"),
        )),
        _ => Err(Failure::new(
            Exit::RefusedByRule,
            "ambiguous_person",
            format!("{text} is the beginning of several ids; give more of it, or the e-mail address"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use lama_identity::Person;

    use super::*;

    #[test]
    fn by_email_or_by_the_beginning_of_the_id() {
        let person = |email: &str| Person::new(email.parse().unwrap()).id();
        let known = [(person("a@b.c"), "a@b.c"), (person("d@e.f"), "d@e.f")];
        let find = |text: &str| find(text, known.iter().copied(), "contacts");
        assert_eq!(find(" A@B.c ").unwrap(), known[0].0);
        assert_eq!(find(&known[1].0.short()).unwrap(), known[1].0);
        assert_eq!(find(&known[1].0.full().to_uppercase()).unwrap(), known[1].0);
        for text in ["x@y.z", "", "a", "zzzzzzzz"] {
            assert_eq!(find(text).unwrap_err().code, "unknown_person", "{text}");
        }
    }
}
