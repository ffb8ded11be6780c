//! A transport of one's own: two nodes over a pair of Unix sockets, each on a plain thread, without any runtime.
//!
//! `lama-node` does no I/O. A host tells it what happened (`handle`), asks what is to be done (`poll`), brings frames to
//! the other side (`poll_frame`) and sleeps until `poll_timeout`. Here a frame on the wire is its length in two bytes,
//! and then its bytes; anything that keeps frames whole and in order would do.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use lama_core::{Instant, Now, Ticket};
use lama_examples::{Failure, entropy, invite, join, link, say, somebody, text, wall};
use lama_identity::SignSecret;
use lama_node::{
    Config, Event, Input, LinkCause, LinkId, Node, NodeError, NodeIdentity, Origin, Output, Reply, Source,
    WhichKey,
};
use lama_store::{Memory, Store};

/// There is one link, and this is its name.
const LINK: LinkId = LinkId(1);

struct Host {
    node: Node,
    store: Store<Memory>,
    instance_key: SignSecret,
    person_key: SignSecret,
    started: std::time::Instant,
    wire: UnixStream,
    frames: Receiver<Vec<u8>>,
    linked: bool,
}

impl Host {
    #[allow(clippy::disallowed_methods)] // A host is what reads the clock.
    fn new(email: &str, wire: UnixStream) -> Result<Self, Failure> {
        let (identity, mut store) = somebody(email)?;
        let (public, noise, instance_key, person) = identity.into_parts();
        store.set_owner(public.clone())?;
        let started = std::time::Instant::now();
        let now = Now { mono: Instant::from_origin(Duration::ZERO), wall: wall() };
        let node = Node::new(Config::default(), NodeIdentity::new(public, noise), entropy()?, now)?;
        let person_key = person.ok_or("a new person has its keys")?.sign;
        // Frames are read on a thread, so that the node's own can sleep until something happens or a timer is due.
        let (frame, frames) = mpsc::sync_channel(64);
        let mut reading = wire.try_clone()?;
        thread::spawn(move || {
            let mut length = [0; 2];
            while reading.read_exact(&mut length).is_ok() {
                let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                if reading.read_exact(&mut bytes).is_err() || frame.send(bytes).is_err() {
                    break;
                }
            }
        });
        Ok(Self { node, store, instance_key, person_key, started, wire, frames, linked: false })
    }

    fn now(&self) -> Now {
        Now { mono: Instant::from_origin(self.started.elapsed()), wall: wall() }
    }

    fn tell(&mut self, input: Input) -> Result<(), Failure> {
        told(self.node.handle(self.now(), input))
    }

    fn link_up(&mut self, origin: Origin) -> Result<(), Failure> {
        self.linked = true;
        self.tell(Input::LinkUp { link: LINK, origin, seed: entropy()? })
    }

    /// Runs the node until it says something that is wanted.
    fn until<T>(&mut self, wanted: impl Fn(&Output) -> Option<T>) -> Result<T, Failure> {
        loop {
            while let Some(output) = self.node.poll() {
                if let Some(found) = wanted(&output) {
                    return Ok(found);
                }
                self.heed(output)?;
            }
            if self.node.next_ready_link().is_some() {
                self.send()?;
            } else {
                self.wait()?;
            }
        }
    }

    /// Frames for the other side; a write waits while the wire is full. Where nobody reads any more, the end of the frames that
    /// come from there says so.
    fn send(&mut self) -> Result<(), Failure> {
        let mut frame = BytesMut::new();
        while self.node.poll_frame(LINK, &mut frame) {
            let length = u16::try_from(frame.len())?.to_be_bytes();
            if self.wire.write_all(&length).and_then(|()| self.wire.write_all(&frame)).is_err() {
                break;
            }
            frame.clear();
        }
        Ok(())
    }

    /// What the node wants done.
    fn heed(&mut self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Store { ticket, requests, .. } => {
                let results = self.store.execute(&requests);
                self.tell(Input::Stored { ticket, results })
            }
            Output::Sign { ticket, key, bytes } => {
                let signature = match key {
                    WhichKey::Instance => Some(self.instance_key.sign_input(&bytes)),
                    WhichKey::Person => Some(self.person_key.sign_input(&bytes)),
                    // One that the person had before: there was none.
                    _ => None,
                };
                self.tell(Input::Signed { ticket, signature })
            }
            // Wherever it leads: this wire is the only one there is.
            Output::Dial { ticket, .. } => self.link_up(Origin::Dialled(ticket)),
            Output::CloseLink { .. } => {
                self.send()?;
                // It may be gone already.
                let _ = self.wire.shutdown(Shutdown::Both);
                Ok(())
            }
            Output::Reply { result: Err(error), .. } => Err(error.into()),
            Output::Reply { .. } | Output::Event(_) => Ok(()),
        }
    }

    /// Sleeps until a frame comes or a timer is due.
    fn wait(&mut self) -> Result<(), Failure> {
        let now = self.now();
        let due = self.node.poll_timeout().map_or(Duration::from_secs(1), |due| due.since(now.mono));
        match self.frames.recv_timeout(due) {
            Ok(frame) => {
                if !self.linked {
                    self.link_up(Origin::Accepted { source: Source::new([1; 16]) })?;
                }
                self.tell(Input::Frame { link: LINK, frame: frame.as_slice().into() })
            }
            Err(RecvTimeoutError::Timeout) => told(self.node.handle_timeout(self.now())),
            Err(RecvTimeoutError::Disconnected) if self.linked => {
                self.linked = false;
                self.tell(Input::LinkDown { link: LINK, cause: LinkCause::Closed })
            }
            Err(RecvTimeoutError::Disconnected) => Err("the other side is gone".into()),
        }
    }

    fn ask(&mut self, command: lama_node::Command) -> Result<Reply, Failure> {
        self.tell(Input::Command { ticket: Ticket(1), command })?;
        self.until(|output| match output {
            Output::Reply { result: Ok(reply), .. } => Some(reply.clone()),
            _ => None,
        })
    }
}

/// That the node has stopped is also said by its last event, after all that it has to say.
fn told(result: Result<(), NodeError>) -> Result<(), Failure> {
    match result {
        Ok(()) | Err(NodeError::Stopped) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn main() -> Result<(), Failure> {
    let (near, far) = UnixStream::pair()?;
    let mut ada = Host::new("ada@example.org", near)?;
    // Never dialled, but an invitation has to say where it leads.
    ada.tell(Input::Listening { urls: vec!["ws://localhost:1".to_owned()] })?;
    let invitation = link(ada.ask(invite()?)?)?;

    let bob = thread::spawn(move || -> Result<(), Failure> {
        let mut bob = Host::new("bob@example.org", far)?;
        let Reply::Contact(contact) = bob.ask(join(invitation))? else { return Err("no contact".into()) };
        println!("Bob: {} is a contact", contact.email);
        bob.ask(say(contact.person, "hello through the pipe"))?;
        bob.until(|output| match output {
            Output::Event(Event::SessionEnded { .. }) => Some(()),
            _ => None,
        })
    });

    let said = ada.until(|output| match output {
        Output::Event(event) => text(event).map(str::to_owned),
        _ => None,
    })?;
    println!("Ada: Bob says {said:?}");
    ada.ask(lama_node::Command::Shutdown)?;
    ada.until(|output| matches!(output, Output::Event(Event::Stopped)).then_some(()))?;
    bob.join().map_err(|_| "Bob's thread failed")?
}
