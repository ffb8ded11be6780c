//! The machines of a connection alone: invitation, handshake and encrypted session, without a node and without a store.
//!
//! **Decides** how they look from another language: one object for all links of an instance, fed with frames and asked
//! for frames and [`SessionStep`]s. It is for programs that keep their contacts and their data themselves, and want no
//! more of LAMA than that two instances know who is at the other end; their module for JavaScript has a quarter of the size.
//!
//! **Refuses to decide** what the host has to make durable: which invitations are spent and who is a contact. It asks
//! for both, and goes on when the host says so. Certificates are checked; later entries of a person's log, such as a
//! revocation, travel by CHUM, which is not here: a program that needs them takes [`crate::Instance`].

mod link;
mod open;
mod step;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use lama_core::{Seed, SortedMap, WallTime};
use lama_handshake::{BootId, Config, RejectCode, StreamId};
use lama_identity::NoisePublic;
use lama_invite::{DialRules, Draft, Invitation, Locator, Policy, Route};
use serde::Serialize;

use crate::command::of_key;
use crate::{At, Keys, Problem};
use link::{Link, Own};
pub use step::{Head, KnownPeer, SessionStep};

/// All sessions of one instance, with those that begin. Links have numbers of the host's choice.
///
/// ```
/// use lama_bindings::{At, Keys, SessionStep, Sessions};
/// # fn main() -> Result<(), lama_bindings::Problem> {
/// let at = At { mono_ms: 0, wall_ms: 1_800_000_000_000 }; // the host's clocks
/// let sessions = |email, n| Ok::<_, lama_bindings::Problem>(Sessions::new(Keys::create(email, "desk", [n; 32], at.wall_ms)?, [n + 1; 32]));
/// let (mut ann, mut ben) = (sessions("ann@lama.local", 1)?, sessions("ben@lama.local", 3)?);
/// let made = ann.invite(&["ws://localhost:8765".to_owned()], None, [5; 32], at)?; // keep it; the link goes to Ben
/// ann.accept(1, [6; 32], at)?; // a WebSocket came in
/// let urls = ben.join(1, &made.link, false, [7; 32], at)?; // and was opened to one of these
/// # assert_eq!(urls, ["ws://localhost:8765"]);
/// let mut open = 0;
/// while open < 2 {
///     while let Some(frame) = ben.poll_frame(1, at) { ann.frame(1, &frame, at) }
///     while let Some(frame) = ann.poll_frame(1, at) { ben.frame(1, &frame, at) }
///     for host in [&mut ann, &mut ben] {
///         while let Some(step) = host.poll() {
///             match step {
///                 SessionStep::Asked { link, locator } if locator == made.locator => host.answer(link, Some(&made.link), None, at)?,
///                 // Now the contact is stored, and that its key has spent the invitation, in one durable step.
///                 SessionStep::Verified { link, .. } => host.proceed(link, at)?,
///                 SessionStep::Open { .. } => open += 1,
///                 other => panic!("{other:?}"),
///             }
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Sessions {
    own: Own,
    links: SortedMap<u32, Link>,
    steps: VecDeque<SessionStep>,
    /// Invitations by which somebody was verified since the start, until they expire, and by which key: of two who come at
    /// once the host hears of the first alone, so he is the one that it writes down.
    spent: SortedMap<Locator, (WallTime, NoisePublic)>,
}

/// An invitation that was made.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeInvitation {
    /// The link: a secret, whoever has it first pairs. To be kept, with the locator, until it has expired.
    pub link: String,
    /// What [`SessionStep::Asked`] names it by. No secret.
    pub locator: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires: u64,
}

impl fmt::Debug for MadeInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MadeInvitation({}, ..)", self.locator)
    }
}

impl Sessions {
    /// The sessions of an instance. `entropy` is drawn for this start of the process.
    #[must_use]
    pub fn new(keys: Keys, mut entropy: [u8; 32]) -> Self {
        let seed = Seed::take(&mut entropy);
        let boot_id = BootId(seed.derive("boot").first_chunk().copied().unwrap_or_default());
        let own = Own { identity: keys.identity, boot_id, url: String::new(), config: Config::default() };
        Self { own, links: SortedMap::new(), steps: VecDeque::new(), spent: SortedMap::new() }
    }

    /// Where this instance can be dialled, for those to whom it introduces itself from now on; empty: nowhere.
    ///
    /// # Errors
    /// `identity.*` for what cannot be announced.
    pub fn listening(&mut self, url: &str) -> Result<(), Problem> {
        self.own.identity.public().endpoint(url)?;
        url.clone_into(&mut self.own.url);
        Ok(())
    }

    /// Makes an invitation that leads to these addresses, good for so many milliseconds; `None`: 15 minutes. By whose key it is
    /// spent is the host's to keep.
    ///
    /// # Errors
    /// `invite.*`: what is wrong with addresses or lifetime; `session.no-person-key`.
    pub fn invite(
        &self,
        urls: &[String],
        lifetime_ms: Option<u64>,
        mut entropy: [u8; 32],
        at: At,
    ) -> Result<MadeInvitation, Problem> {
        self.pairs()?;
        let public = self.own.identity.public();
        let route = |url: &String| Route::direct(url).map_err(|error| Problem::argument(url, error));
        let draft = Draft {
            r_static: *public.noise(),
            r_person_id: public.person_id(),
            r_person_pin: public.pin(),
            routes: urls.iter().map(route).collect::<Result<_, _>>()?,
            policy: Policy::Auto,
            lifetime: lifetime_ms.map(Duration::from_millis),
        };
        let (config, seed) = (lama_invite::Config::default(), Seed::take(&mut entropy));
        let invitation = Invitation::create(draft, &config, at.now().wall, seed)?;
        Ok(MadeInvitation {
            link: invitation.to_link(lama_invite::LAMA_BASE)?.to_string(),
            locator: invitation.locator().to_string(),
            expires: invitation.exp().0,
        })
    }

    /// Begins on a link that the host opens to one of the returned addresses, best first: by an invitation. `lan`: whether the local network
    /// may be dialled. `entropy` is drawn for this alone, here as in all that follows.
    ///
    /// # Errors
    /// `invite.*`: what is wrong with the link, also the same person on both sides; `session.no-direct-route` if it leads
    /// through relays alone, which are not spoken here; `session.no-person-key`, `session.link-in-use`.
    pub fn join(
        &mut self,
        link: u32,
        invitation: &str,
        lan: bool,
        mut entropy: [u8; 32],
        at: At,
    ) -> Result<Vec<String>, Problem> {
        self.pairs()?;
        self.free(link)?;
        let rules = DialRules { lan, ..DialRules::default() };
        let me = Some(self.own.identity.person_id());
        let invitation = lama_invite::parse(invitation, at.now().wall, me, rules)?;
        let direct = invitation.dialable(rules).filter(|route| route.via.is_none());
        let urls: Vec<String> = direct.map(|route| route.url.to_string()).collect();
        if urls.is_empty() {
            return Err(Problem::new(
                "session.no-direct-route",
                "the invitation leads through relays alone, which a session without a node does not speak; \
                 ask for one with a direct address, or join with a whole instance",
            ));
        }
        let began = Link::join(link, &self.own, &invitation, Seed::take(&mut entropy))?;
        self.links.insert(link, began);
        Ok(urls)
    }

    /// Begins on a link that the host opens: to a peer that is known.
    ///
    /// # Errors
    /// `binding.argument` for a record that is none; `session.link-in-use`.
    pub fn dial(&mut self, link: u32, peer: &KnownPeer, mut entropy: [u8; 32]) -> Result<(), Problem> {
        self.free(link)?;
        let began = Link::dial(link, &self.own, peer, Seed::take(&mut entropy))?;
        self.links.insert(link, began);
        Ok(())
    }

    /// Begins on a link that somebody opened to the host.
    ///
    /// # Errors
    /// `session.link-in-use`.
    pub fn accept(&mut self, link: u32, mut entropy: [u8; 32], at: At) -> Result<(), Problem> {
        self.free(link)?;
        self.links.insert(link, Link::accept(link, &self.own, Seed::take(&mut entropy), at.now()));
        Ok(())
    }

    /// The answer to [`SessionStep::Asked`]: the invitation of that locator until it expires, and the key of the peer who has
    /// spent it, if somebody has: he may have been cut off, and comes again. Anybody else is refused. Without an invitation the caller
    /// has to be known.
    ///
    /// # Errors
    /// `invite.*` for what is no invitation, or one that has expired; `binding.argument` for another one's;
    /// `binding.misuse` where nothing was asked, `session.closed` where it has ended.
    pub fn answer(
        &mut self,
        link: u32,
        invitation: Option<&str>,
        spent_by: Option<&str>,
        at: At,
    ) -> Result<(), Problem> {
        let invitation = invitation.map(lama_invite::parse_unchecked).transpose()?;
        let spent_by = spent_by.map(of_key).transpose()?;
        self.spent.retain(|_, (expires, _)| *expires > at.now().wall);
        self.step(link, |link, own| link.answer(own, invitation.as_ref(), spent_by, at.now()))
    }

    /// The answer to [`SessionStep::Proved`]: whose key it is. `None`: nobody's, and the link ends without a word.
    ///
    /// # Errors
    /// `binding.argument` for a record that is none; `binding.misuse` where nothing was asked, `session.closed` where it has
    /// ended.
    pub fn expect(&mut self, link: u32, peer: Option<&KnownPeer>, at: At) -> Result<(), Problem> {
        let expect = peer.map(|peer| peer.expect(at.now().wall)).transpose()?;
        self.step(link, |link, own| link.expect(own, expect))
    }

    /// After [`SessionStep::Verified`]: what had to be durable is. The handshake goes on.
    ///
    /// # Errors
    /// `binding.misuse` where nothing was asked, `session.closed` where it has ended.
    pub fn proceed(&mut self, link: u32, at: At) -> Result<(), Problem> {
        self.step(link, |link, own| link.proceed(own, at.now()))
    }

    /// Instead of [`Sessions::proceed`]: that person is not wanted, and learns it, with a reason: `blocked`, `denied`,
    /// `busy`, `token` (somebody else has spent the invitation) or `person` (he is known by another key).
    ///
    /// # Errors
    /// `binding.argument` for another reason; `binding.misuse` where nothing was asked, `session.closed` where it has ended.
    pub fn refuse(&mut self, link: u32, reason: &str) -> Result<(), Problem> {
        let code = match reason {
            "blocked" => RejectCode::Blocked,
            "denied" => RejectCode::Denied,
            "busy" => RejectCode::Busy,
            "token" => RejectCode::Token,
            "person" => RejectCode::Person,
            other => return Err(Problem::argument("the reason", format!("{other} is none"))),
        };
        let spends = self.links.get(&link).and_then(Link::spends);
        self.step(link, |link, _| link.refuse(code))?;
        // Whoever else has the invitation may come.
        if let Some((locator, ..)) = spends {
            self.spent.remove(&locator);
        }
        Ok(())
    }

    /// A frame arrived. What it leads to comes by [`Sessions::poll`].
    pub fn frame(&mut self, link: u32, frame: &[u8], at: At) {
        let Some(there) = self.links.get_mut(&link) else { return };
        let step = there.frame(&self.own, frame, at.now());
        self.note(step);
    }

    /// Queues a message on a stream: 0 to 3, the lower the more urgent; up to 256 KiB on 0 and 1,088 KiB on the others.
    ///
    /// # Errors
    /// `session.closed`, `session.too-long`, `session.no-stream`.
    pub fn send(&mut self, link: u32, stream: u8, message: Vec<u8>) -> Result<(), Problem> {
        let Some(there) = self.links.get_mut(&link) else { return Err(open::closed()) };
        let stream = StreamId::new(stream)
            .ok_or_else(|| Problem::new("session.no-stream", "streams have the numbers 0 to 3"))?;
        there.send(&self.own.config, stream, Bytes::from(message))
    }

    /// Bytes of messages that wait to be sent on a link: for back-pressure.
    #[must_use]
    pub fn queued(&self, link: u32) -> usize {
        self.links.get(&link).map_or(0, Link::queued)
    }

    /// The next frame of a link; only while that has room, for what was made must be sent. After the last one of a link
    /// that has ended ([`SessionStep::Closed`], [`SessionStep::Failed`]) the host closes it.
    pub fn poll_frame(&mut self, link: u32, at: At) -> Option<Vec<u8>> {
        let (frame, step) = self.links.get_mut(&link)?.poll_frame(&self.own, at.now())?;
        self.note(step);
        Some(frame.into())
    }

    /// What happened, in order. A message that was taken makes room for more: afterwards the link may have a frame.
    pub fn poll(&mut self) -> Option<SessionStep> {
        let step = self.steps.pop_front()?;
        if let SessionStep::Message { link, .. } = &step
            && let Some(there) = self.links.get_mut(link)
        {
            there.taken();
        }
        Some(step)
    }

    /// Says goodbye, after what is queued, or 10 s later without it. [`SessionStep::Closed`] comes when it is said.
    pub fn close(&mut self, link: u32, at: At) {
        if let Some(there) = self.links.get_mut(&link) {
            let step = there.close(at.now());
            self.note(step);
        }
    }

    /// The link is gone, whoever closed it. If nobody had said goodbye a [`SessionStep::Failed`] says so. The number is free
    /// when all steps of it are polled.
    pub fn link_down(&mut self, link: u32) {
        if let Some(there) = self.links.remove(&link) {
            let step = there.down();
            self.note(step);
        }
    }

    /// When [`Sessions::handle_timeout`] wants to be called, in milliseconds of the host's clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = self.links.values().filter_map(Link::due).min()?;
        // Rounded up, so that it is due when the host comes.
        u64::try_from(due.since_origin().as_micros().div_ceil(1000)).ok()
    }

    /// Time has passed: late handshakes end, and silent sessions.
    pub fn handle_timeout(&mut self, at: At) {
        let now = at.now();
        let late: Vec<u32> = self
            .links
            .iter()
            .filter(|(_, link)| link.due().is_some_and(|due| due <= now.mono))
            .map(|(number, _)| *number)
            .collect();
        for link in late {
            if let Some(there) = self.links.get_mut(&link) {
                let step = there.timeout(now);
                self.note(step);
            }
        }
    }

    /// What answers a question that the link has asked.
    fn step(
        &mut self,
        link: u32,
        go: impl FnOnce(&mut Link, &Own) -> Result<Option<SessionStep>, Problem>,
    ) -> Result<(), Problem> {
        let there = self.links.get_mut(&link).ok_or_else(open::closed)?;
        let step = go(there, &self.own)?;
        self.note(step);
        Ok(())
    }

    /// A question that nobody has polled has no sense any more when its link has come to nothing.
    fn note(&mut self, step: Option<SessionStep>) {
        let Some(step) = step.and_then(|step| self.claimed(step)) else { return };
        if matches!(step, SessionStep::Failed { .. } | SessionStep::Closed { .. }) {
            self.steps.retain(|other| other.link() != step.link() || !other.is_question());
        }
        self.steps.push_back(step);
    }

    /// Whoever is verified has spent the invitation, unless somebody else was before him: then he is refused.
    fn claimed(&mut self, step: SessionStep) -> Option<SessionStep> {
        let number = step.link();
        let Some(link) = self.links.get_mut(&number) else { return Some(step) };
        let (SessionStep::Verified { .. }, Some((locator, expires, key))) = (&step, link.spends()) else {
            return Some(step);
        };
        let (_, first) = *self.spent.entry(locator).or_insert((expires, key));
        if first == key { Some(step) } else { link.refuse(RejectCode::Token).ok()? }
    }

    fn free(&self, link: u32) -> Result<(), Problem> {
        if !self.links.contains_key(&link) && self.steps.iter().all(|step| step.link() != link) {
            return Ok(());
        }
        let text = format!("link {link} is in use, or has steps that were not polled; take another number");
        Err(Problem::new("session.link-in-use", text))
    }

    /// Pairing takes the signature of the person.
    fn pairs(&self) -> Result<(), Problem> {
        self.own.identity.person().map(drop).map_err(|_| {
            Problem::new(
                "session.no-person-key",
                "this device does not have its person's key, which pairing takes; pair on one that has it",
            )
        })
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({}, {} links)", self.own.identity.instance_id(), self.links.len())
    }
}
