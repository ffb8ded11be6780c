//! Sessions without a node, as the host of another language drives them.

use std::sync::{Arc, Mutex};

use lama_bindings::{At, KnownPeer, Problem, SessionStep as PlainStep, Sessions as Plain};

use crate::{Keys, LamaFailure, entropy, failure, from_json, json};

/// All sessions of one instance: invitation, handshake and encrypted messages, with the contacts and the spent
/// invitations for the program to keep. Every call that may do something takes both clocks in milliseconds.
#[derive(Debug, uniffi::Object)]
pub struct Sessions(Mutex<Plain>);

/// What happened on a link.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SessionStep {
    /// What, as JSON: `asked`, `proved`, `verified`, `open`, `message`, `closed`, `failed`.
    pub step: String,
    /// The bytes of a message.
    pub message: Option<Vec<u8>>,
}

const fn at(mono_ms: u64, wall_ms: u64) -> At {
    At { mono_ms, wall_ms }
}

fn peer(text: &str) -> Result<KnownPeer, LamaFailure> {
    from_json(text)
}

impl Sessions {
    fn with<T>(&self, call: impl FnOnce(&mut Plain) -> T) -> Result<T, LamaFailure> {
        let words = "the sessions stopped in the middle of a call; open the key file again";
        self.0.lock().map(|mut it| call(&mut it)).map_err(|_| failure("binding.crashed", words))
    }

    fn attempt<T>(&self, call: impl FnOnce(&mut Plain) -> Result<T, Problem>) -> Result<T, LamaFailure> {
        Ok(self.with(call)??)
    }
}

#[uniffi::export]
impl Sessions {
    /// The sessions of an instance; the keys are taken.
    ///
    /// # Errors
    /// `binding.keys-gone`.
    #[uniffi::constructor]
    pub fn open(keys: Arc<Keys>) -> Result<Arc<Self>, LamaFailure> {
        Ok(Arc::new(Self(Mutex::new(Plain::new(keys.take()?, entropy()?)))))
    }

    /// Where this instance can be dialled, for those to whom it introduces itself from now on; empty: nowhere.
    ///
    /// # Errors
    /// `identity.*` for what cannot be announced.
    pub fn listening(&self, url: String) -> Result<(), LamaFailure> {
        self.attempt(|it| it.listening(&url))
    }

    /// Makes an invitation that leads to these addresses, good for so many milliseconds or 15 minutes; as JSON.
    ///
    /// # Errors
    /// `invite.*`: what is wrong with addresses or lifetime.
    pub fn invite(
        &self,
        urls: Vec<String>,
        lifetime_ms: Option<u64>,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<String, LamaFailure> {
        let entropy = entropy()?;
        json(&self.attempt(|it| it.invite(&urls, lifetime_ms, entropy, at(mono_ms, wall_ms)))?)
    }

    /// Begins by an invitation, on a link that is to be opened to one of the returned addresses, best first.
    ///
    /// # Errors
    /// What is wrong with the link.
    pub fn join(
        &self,
        link: u32,
        invitation: String,
        lan: bool,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<Vec<String>, LamaFailure> {
        let entropy = entropy()?;
        self.attempt(|it| it.join(link, &invitation, lan, entropy, at(mono_ms, wall_ms)))
    }

    /// Begins with a peer that is known, given as JSON, on a link that is to be opened to its address.
    ///
    /// # Errors
    /// `binding.argument`.
    pub fn dial(&self, link: u32, known: String) -> Result<(), LamaFailure> {
        let (known, entropy) = (peer(&known)?, entropy()?);
        self.attempt(|it| it.dial(link, &known, entropy))
    }

    /// Begins on a link that somebody opened.
    ///
    /// # Errors
    /// `session.link-in-use`.
    pub fn accept(&self, link: u32, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        let entropy = entropy()?;
        self.attempt(|it| it.accept(link, entropy, at(mono_ms, wall_ms)))
    }

    /// The answer to `asked`: the invitation with that locator until it expires, and the key of the peer who has spent it, if
    /// somebody has; or none.
    ///
    /// # Errors
    /// `invite.*`, `binding.argument`; `binding.misuse` where nothing was asked.
    pub fn answer(
        &self,
        link: u32,
        invitation: Option<String>,
        spent_by: Option<String>,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<(), LamaFailure> {
        let (invitation, spent_by) = (invitation.as_deref(), spent_by.as_deref());
        self.attempt(|it| it.answer(link, invitation, spent_by, at(mono_ms, wall_ms)))
    }

    /// The answer to `proved`: the peer with that key, as JSON, or nobody.
    ///
    /// # Errors
    /// `binding.argument`; `binding.misuse` where nothing was asked.
    pub fn expect(
        &self,
        link: u32,
        known: Option<String>,
        mono_ms: u64,
        wall_ms: u64,
    ) -> Result<(), LamaFailure> {
        let known = known.as_deref().map(peer).transpose()?;
        self.attempt(|it| it.expect(link, known.as_ref(), at(mono_ms, wall_ms)))
    }

    /// The answer to `verified`: the peer is stored, and that its key has spent the invitation, durably.
    ///
    /// # Errors
    /// `binding.misuse` where nothing was asked.
    pub fn proceed(&self, link: u32, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.attempt(|it| it.proceed(link, at(mono_ms, wall_ms)))
    }

    /// The other answer to it: that person is not wanted, and learns why: `blocked`, `denied`, `busy`, `token`, `person`.
    ///
    /// # Errors
    /// `binding.argument`; `binding.misuse` where nothing was asked.
    pub fn refuse(&self, link: u32, reason: String) -> Result<(), LamaFailure> {
        self.attempt(|it| it.refuse(link, &reason))
    }

    /// A binary message of the WebSocket.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn frame(&self, link: u32, bytes: Vec<u8>, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.frame(link, &bytes, at(mono_ms, wall_ms)))
    }

    /// Queues a message on a stream, 0 to 3, the lower the more urgent.
    ///
    /// # Errors
    /// `session.closed`, `session.too-long`, `session.no-stream`.
    pub fn send(&self, link: u32, stream: u8, message: Vec<u8>) -> Result<(), LamaFailure> {
        self.attempt(|it| it.send(link, stream, message))
    }

    /// Bytes of messages that wait to be sent.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn queued(&self, link: u32) -> Result<u64, LamaFailure> {
        self.with(|it| it.queued(link) as u64)
    }

    /// The next frame of a link, only while that has room: what was made must be sent.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn poll_frame(&self, link: u32, mono_ms: u64, wall_ms: u64) -> Result<Option<Vec<u8>>, LamaFailure> {
        self.with(|it| it.poll_frame(link, at(mono_ms, wall_ms)))
    }

    /// What happened, in order. Afterwards the link may have a frame.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn poll(&self) -> Result<Option<SessionStep>, LamaFailure> {
        let Some(step) = self.with(Plain::poll)? else { return Ok(None) };
        let text = json(&step)?;
        let message = match step {
            PlainStep::Message { message, .. } => Some(message.into()),
            _ => None,
        };
        Ok(Some(SessionStep { step: text, message }))
    }

    /// Says goodbye after what is queued, or 10 s later without it; the step `closed` comes when it is said.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn close_link(&self, link: u32, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.close(link, at(mono_ms, wall_ms)))
    }

    /// The link is gone, whoever closed it.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn link_down(&self, link: u32) -> Result<(), LamaFailure> {
        self.with(|it| it.link_down(link))
    }

    /// When `handle_timeout` wants to be called, by the monotonic clock.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn poll_timeout(&self) -> Result<Option<u64>, LamaFailure> {
        self.with(|it| it.poll_timeout())
    }

    /// Time has passed.
    ///
    /// # Errors
    /// `binding.crashed`.
    pub fn handle_timeout(&self, mono_ms: u64, wall_ms: u64) -> Result<(), LamaFailure> {
        self.with(|it| it.handle_timeout(at(mono_ms, wall_ms)))
    }
}
