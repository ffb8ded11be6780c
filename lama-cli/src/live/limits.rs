//! Why an object does not reach a contact, and how much of a contact is kept.

use lama_chum::Refusal;
use lama_identity::{Cid, PersonId};
use lama_node::{Command, Reply};
use lama_store::{Quota, Standing};

use super::work::{contacts, unexpected};
use super::{Live, people};
use crate::api;
use crate::failure::{Exit, Failure};

/// The contact that is meant, pending ones too, with his e-mail.
fn contact(live: &Live, text: &str) -> Result<(PersonId, String), Failure> {
    let known = contacts(live)?;
    let list = known.iter().map(|contact| (contact.person, contact.email.as_str()));
    let person = people::find(text, list, "the contacts")?;
    let email = known.iter().find(|contact| contact.person == person).map(|contact| contact.email.clone());
    Ok((person, email.unwrap_or_default()))
}

/// Where an object stands with a contact.
pub(super) fn explain(live: &Live, object: &str, person: &str) -> Result<api::Explanation, Failure> {
    let object: Cid = object.parse().map_err(|error| {
        Failure::new(Exit::Usage, "bad_id", format!("this is no id of an object: {error}"))
    })?;
    let (person, email) = contact(live, person)?;
    let told = match live.call(Command::Explain { object, person })? {
        Reply::Explanation(told) => told,
        other => return Err(unexpected(&other)),
    };
    Ok(api::Explanation {
        object: object.to_string(),
        person: person.full(),
        email,
        standing: standing(told.standing).to_owned(),
        rule: match told.standing {
            Standing::Refused(reason) => Some(rule(reason)),
            _ => None,
        },
        direct: told.direct,
        instances: told
            .instances
            .iter()
            .map(|(instance, of)| api::InstanceStanding {
                instance: instance.full(),
                standing: standing(*of).to_owned(),
            })
            .collect(),
        rules: told
            .rules
            .iter()
            .map(|row| api::AccessRule {
                id: row.rule.to_string(),
                author: row.author.full(),
                in_effect: row.in_effect,
                names: row.persons.contains(&person) || !row.groups.is_empty(),
            })
            .collect(),
    })
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::NotAContact => "not_a_contact",
        Standing::NotHere => "not_here",
        Standing::SetAside => "set_aside",
        Standing::Tombstone => "tombstone",
        Standing::NotShared => "not_shared",
        Standing::Pending => "pending",
        Standing::Sent => "sent",
        Standing::Refused(Refusal::Quota) => "over_quota",
        Standing::Refused(_) => "refused",
        Standing::Acknowledged => "acknowledged",
        Standing::FromThem => "from_them",
        _ => "other",
    }
}

fn rule(reason: Refusal) -> String {
    match reason {
        Refusal::Quota => "quota".to_owned(),
        Refusal::Policy => "policy".to_owned(),
        Refusal::Malformed => "malformed".to_owned(),
        other => other.code().to_string(),
    }
}

/// What is kept of a contact; with `set` under new limits.
pub(super) fn quota(live: &Live, person: &str, set: Option<Quota>) -> Result<api::Quota, Failure> {
    let (person, _) = contact(live, person)?;
    match live.call(Command::Quota { person, set })? {
        Reply::Quota(row) => Ok(api::Quota {
            person: person.full(),
            objects: row.objects,
            bytes: row.bytes,
            refused: row.refused,
            max_objects: row.limits.objects,
            max_bytes: row.limits.bytes,
            max_bytes_per_hour: row.limits.bytes_per_hour,
            days: row.limits.days,
        }),
        other => Err(unexpected(&other)),
    }
}
