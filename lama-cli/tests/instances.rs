//! Two instances of one person beside a contact, as real processes: enrolled by file, and one of them revoked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Instance, Place, paired, until};

/// Gives `phone` the certificate of the person whose first instance is `desk`.
fn enrol(place: &Place, desk: &Instance, phone: &Instance) {
    let path = |name: &str| place.path().join(name).display().to_string();
    let (offer, request, certificate) = (path("offer"), path("request"), path("certificate"));
    desk.json(&["instance", "offer", &offer]);
    phone.json(&["instance", "request", &offer, &request, "--name", "phone", "--no-passphrase"]);
    // Nothing is here yet but a request.
    assert_eq!(phone.failure(&["contacts"]).1["code"], "no_data_dir");
    desk.json(&["instance", "certify", &request, &certificate]);
    // A second time gives the same, and no second entry.
    desk.json(&["instance", "certify", &request, &certificate]);
    assert_eq!(desk.json(&["instance", "list"])["entries"], 2);
    let id = phone.json(&["instance", "accept", &certificate]);
    assert_eq!((&id["name"], &id["person"]), (&"phone".into(), &desk.json(&["id"])["person"]));
    assert_eq!(phone.failure(&["instance", "accept", &certificate]).1["code"], "already_initialised");
}

fn texts(instance: &Instance) -> Vec<String> {
    let log = instance.json(&["log"]);
    let channels = log["channels"].as_array().unwrap();
    let messages = channels.iter().flat_map(|channel| channel["messages"].as_array().unwrap());
    messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn two_instances_of_one_person_and_one_is_revoked_while_it_is_connected() {
    let place = Place::new();
    let (desk, bob) = (place.person("ada@lama.local", "tokio"), place.person("bob@lama.local", "smol"));
    let (_desk, _bob) = paired(&desk, &bob);
    let phone = place.instance("phone");
    enrol(&place, &desk, &phone);
    let running = phone.start_with(&["--no-listen"]);
    let connected = || {
        let contacts = bob.json(&["contacts"]);
        let instances = contacts["contacts"][0]["instances"].as_array().unwrap().clone();
        instances.iter().filter(|instance| instance["connected"] == true).count()
    };
    until("both instances are connected to the contact", || connected() == 2);
    phone.json(&["send", "bob@lama.local", "from the phone"]);
    until("the contact has it", || texts(&bob).contains(&"from the phone".to_owned()));

    // It is lost. Everybody who is connected knows at once, and the owner knows who does.
    let list = desk.json(&["instance", "revoke", "phone", "--reason", "lost on a train"]);
    assert_eq!(list["instances"][1]["revoked"], 3, "{list}");
    until("the revocation has arrived", || {
        let list = desk.json(&["instance", "list"]);
        (&list["instances"][1]["arrived"], &list["instances"][1]["of"]) == (&1.into(), &1.into())
    });
    until("the phone is out", || connected() == 1);
    phone.json(&["send", "bob@lama.local", "let me in"]);
    desk.json(&["send", "bob@lama.local", "still here"]);
    until("the desk goes on", || texts(&bob).contains(&"still here".to_owned()));
    running.stop();
    let running = phone.start_with(&["--no-listen"]);
    desk.json(&["send", "bob@lama.local", "and again"]);
    until("the desk goes on", || texts(&bob).contains(&"and again".to_owned()));
    assert_eq!(connected(), 1);
    assert!(!texts(&bob).contains(&"let me in".to_owned()));
    assert!(!texts(&phone).contains(&"still here".to_owned()));
    running.stop();
    assert_eq!(desk.failure(&["instance", "revoke", "phone"]).1["code"], "unknown_instance");
}
