//! Two instances on tokio: Ada invites, Bob joins over a WebSocket, and what he writes arrives.

use lama_examples::{Failure, invite, join, link, say, somebody, text};
use lama_net_tokio::{Events, Handle, Listen, Options, Parts, start};
use lama_node::Reply;

/// Runs an instance on a thread of its own.
fn instance(email: &str, listen: Listen) -> Result<(Handle, Events), Failure> {
    let (identity, store) = somebody(email)?;
    let parts = Parts::new(lama_node::Config::default(), identity, store);
    Ok(start(parts, Options { listen, ..Options::default() })?)
}

async fn run() -> Result<(), Failure> {
    let (ada, mut heard) = instance("ada@example.org", Listen::Prefer(8765))?;
    let (bob, _) = instance("bob@example.org", Listen::Nowhere)?;

    let invitation = link(ada.command(invite()?).await?)?;
    let Reply::Contact(contact) = bob.command(join(invitation)).await? else {
        return Err("joining gives a contact".into());
    };
    println!("Bob: {} is a contact, check code {}", contact.email, contact.check_code.unwrap_or_default());

    bob.command(say(contact.person, "hello Ada")).await?;
    while let Some(event) = heard.next().await {
        if let Some(text) = text(&event?) {
            println!("Ada: Bob says {text:?}");
            break;
        }
    }
    bob.shutdown().await?;
    Ok(ada.shutdown().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    run().await
}
