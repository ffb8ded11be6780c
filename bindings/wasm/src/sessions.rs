//! Sessions without a node, as JavaScript drives them.

use lama_bindings::{At, KnownPeer, SessionStep, Sessions};
use wasm_bindgen::prelude::*;

use crate::keys::RawKeys;
use crate::{entropy, from_json, json, thrown};

/// All sessions of one instance. Every call takes both clocks: milliseconds of `performance.now()` and of `Date.now()`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawSessions {
    sessions: Sessions,
    /// Of the step that was polled last.
    message: Option<Vec<u8>>,
}

fn at(mono: f64, wall: f64) -> At {
    At { mono_ms: mono as u64, wall_ms: wall as u64 }
}

#[wasm_bindgen]
impl RawSessions {
    /// The sessions of an instance; the keys are taken.
    pub fn open(keys: RawKeys) -> RawSessions {
        Self { sessions: Sessions::new(keys.0, entropy()), message: None }
    }

    /// Where this instance can be dialled; empty: nowhere.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn listening(&mut self, url: &str) -> Result<(), JsValue> {
        self.sessions.listening(url).map_err(thrown)
    }

    /// An invitation, as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn invite(
        &self,
        urls: Vec<String>,
        lifetime: Option<f64>,
        mono: f64,
        wall: f64,
    ) -> Result<String, JsValue> {
        let lifetime = lifetime.map(|lifetime| lifetime as u64);
        json(&self.sessions.invite(&urls, lifetime, entropy(), at(mono, wall)).map_err(thrown)?)
    }

    /// Begins by an invitation; the addresses to dial, best first.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn join(
        &mut self,
        link: u32,
        invitation: &str,
        lan: bool,
        mono: f64,
        wall: f64,
    ) -> Result<Vec<String>, JsValue> {
        self.sessions.join(link, invitation, lan, entropy(), at(mono, wall)).map_err(thrown)
    }

    /// Begins with a peer that is known, as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn dial(&mut self, link: u32, peer: &str) -> Result<(), JsValue> {
        let peer: KnownPeer = from_json(peer)?;
        self.sessions.dial(link, &peer, entropy()).map_err(thrown)
    }

    /// Begins on a link that somebody opened.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn accept(&mut self, link: u32, mono: f64, wall: f64) -> Result<(), JsValue> {
        self.sessions.accept(link, entropy(), at(mono, wall)).map_err(thrown)
    }

    /// The answer to the step `asked`.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn answer(
        &mut self,
        link: u32,
        invitation: Option<String>,
        spent_by: Option<String>,
        mono: f64,
        wall: f64,
    ) -> Result<(), JsValue> {
        let (invitation, spent_by) = (invitation.as_deref(), spent_by.as_deref());
        self.sessions.answer(link, invitation, spent_by, at(mono, wall)).map_err(thrown)
    }

    /// The answer to the step `proved`: a peer as JSON.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn expect(&mut self, link: u32, peer: Option<String>, mono: f64, wall: f64) -> Result<(), JsValue> {
        let peer: Option<KnownPeer> = peer.as_deref().map(from_json).transpose()?;
        self.sessions.expect(link, peer.as_ref(), at(mono, wall)).map_err(thrown)
    }

    /// The answer to the step `verified`: go on.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn proceed(&mut self, link: u32, mono: f64, wall: f64) -> Result<(), JsValue> {
        self.sessions.proceed(link, at(mono, wall)).map_err(thrown)
    }

    /// The other answer to it.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn refuse(&mut self, link: u32, reason: &str) -> Result<(), JsValue> {
        self.sessions.refuse(link, reason).map_err(thrown)
    }

    /// A frame arrived.
    pub fn frame(&mut self, link: u32, frame: &[u8], mono: f64, wall: f64) {
        self.sessions.frame(link, frame, at(mono, wall));
    }

    /// Queues a message.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn send(&mut self, link: u32, stream: u32, message: Vec<u8>) -> Result<(), JsValue> {
        // There is no such stream either.
        let stream = u8::try_from(stream).unwrap_or(u8::MAX);
        self.sessions.send(link, stream, message).map_err(thrown)
    }

    /// Bytes of messages that wait.
    pub fn queued(&self, link: u32) -> usize {
        self.sessions.queued(link)
    }

    /// The next frame of a link.
    #[wasm_bindgen(js_name = pollFrame)]
    pub fn poll_frame(&mut self, link: u32, mono: f64, wall: f64) -> Option<Vec<u8>> {
        self.sessions.poll_frame(link, at(mono, wall))
    }

    /// The next step, as JSON; the bytes of a message by `takeMessage`.
    ///
    /// # Errors
    /// An `Error` with a code.
    pub fn poll(&mut self) -> Result<Option<String>, JsValue> {
        let Some(step) = self.sessions.poll() else { return Ok(None) };
        let text = json(&step)?;
        if let SessionStep::Message { message, .. } = step {
            self.message = Some(message.into());
        }
        Ok(Some(text))
    }

    /// The message of the step before.
    #[wasm_bindgen(js_name = takeMessage)]
    pub fn take_message(&mut self) -> Option<Vec<u8>> {
        self.message.take()
    }

    /// Says goodbye.
    pub fn close(&mut self, link: u32, mono: f64, wall: f64) {
        self.sessions.close(link, at(mono, wall));
    }

    /// The link is gone.
    #[wasm_bindgen(js_name = linkDown)]
    pub fn link_down(&mut self, link: u32) {
        self.sessions.link_down(link);
    }

    /// When `handleTimeout` wants to be called.
    #[wasm_bindgen(js_name = pollTimeout)]
    pub fn poll_timeout(&self) -> Option<f64> {
        self.sessions.poll_timeout().map(|due| due as f64)
    }

    /// Time has passed.
    #[wasm_bindgen(js_name = handleTimeout)]
    pub fn handle_timeout(&mut self, mono: f64, wall: f64) {
        self.sessions.handle_timeout(at(mono, wall));
    }
}
