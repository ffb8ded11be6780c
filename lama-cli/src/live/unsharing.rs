//! Taking back what was shared.

use lama_chum::blob::{File, Folder};
use lama_identity::{Cid, PersonId};
use lama_node::{Command, Reply};

use super::folders::{fetch, shared_by_us};
use super::work::{contact, contacts, unexpected};
use super::{Live, keeping};
use crate::api;
use crate::failure::{Exit, Failure};

/// Takes back what is shared under a name, in all its versions, or one version by its id.
pub(super) fn withdraw(live: &Live, what: &str, with: &[String]) -> Result<api::Withdrawn, Failure> {
    let named: Vec<PersonId> =
        with.iter().map(|who| contact(live, who).map(|contact| contact.person)).collect::<Result<_, _>>()?;
    let mut done = api::Withdrawn { with: Vec::new(), versions: 0, taken_back: 0, stays: 0 };
    let mut from: Vec<PersonId> = Vec::new();
    // A folder that stays shared would be shared anew at the next look.
    if what.parse::<Cid>().is_err() {
        keeping::forget(live, what, &named)?;
    }
    for info in shared_by_us(live)? {
        let mut persons = info.with;
        persons.retain(|person| named.is_empty() || named.contains(person));
        if persons.is_empty() || !is_meant(live, info.root, what)? {
            continue;
        }
        from.extend(&persons);
        match live.call(Command::Unshare { root: info.root, with: persons })? {
            Reply::Unshared { taken_back, stays } => {
                done.versions += 1;
                done.taken_back += taken_back;
                done.stays += stays;
            }
            other => return Err(unexpected(&other)),
        }
    }
    if done.versions == 0 {
        let text = format!("nothing called {what} is shared by you with them; `lama shared` lists what is");
        return Err(Failure::new(Exit::RefusedByRule, "unknown_share", text));
    }
    from.sort_unstable();
    from.dedup();
    let known = contacts(live)?;
    let email = |who: &PersonId| {
        known
            .iter()
            .find(|known| known.person == *who)
            .map_or_else(|| who.full(), |known| known.email.clone())
    };
    done.with = from.iter().map(email).collect();
    Ok(done)
}

fn is_meant(live: &Live, root: Cid, what: &str) -> Result<bool, Failure> {
    if what.parse() == Ok(root) {
        return Ok(true);
    }
    let Some(object) = fetch(live, root)? else { return Ok(false) };
    let file = File::read(&object).map(|file| file.name);
    Ok(file.or_else(|_| Folder::read(&object).map(|folder| folder.name)).is_ok_and(|name| name == what))
}
