//! Two hosts that pass frames, and what each of them has to decide.

use lama_bindings::{At, Keys, KnownPeer, MadeInvitation, SessionStep, Sessions};

pub(crate) const LINK: u32 = 7;

pub(crate) struct Host {
    pub(crate) sessions: Sessions,
    pub(crate) steps: Vec<SessionStep>,
    /// What it would answer.
    pub(crate) invitation: Option<MadeInvitation>,
    pub(crate) contact: Option<KnownPeer>,
    /// By whose key its invitation is spent.
    pub(crate) spent: Option<String>,
    /// Whether it wants the peer.
    pub(crate) wants: bool,
}

pub(crate) const fn at(mono_ms: u64) -> At {
    At { mono_ms, wall_ms: 1_800_000_000_000 + mono_ms }
}

impl Host {
    pub(crate) fn new(email: &str, n: u8) -> Self {
        let keys = Keys::create(email, "desk", [n; 32], at(0).wall_ms).unwrap();
        let sessions = Sessions::new(keys, [n + 1; 32]);
        Self { sessions, steps: Vec::new(), invitation: None, contact: None, spent: None, wants: true }
    }

    pub(crate) fn invites(&mut self) -> String {
        let made = self.sessions.invite(&["ws://localhost:8765".to_owned()], None, [9; 32], at(0)).unwrap();
        self.invitation = Some(made.clone());
        made.link
    }

    /// Takes what has happened and answers as a host would.
    pub(crate) fn live(&mut self) {
        while let Some(step) = self.sessions.poll() {
            match &step {
                SessionStep::Asked { link, locator } => {
                    let found = self.invitation.as_ref().filter(|made| made.locator == *locator);
                    self.sessions
                        .answer(*link, found.map(|made| made.link.as_str()), self.spent.as_deref(), at(0))
                        .unwrap();
                }
                SessionStep::Proved { link, key } => {
                    let found = self.contact.as_ref().filter(|peer| peer.key == *key);
                    self.sessions.expect(*link, found, at(0)).unwrap();
                }
                SessionStep::Verified { link, .. } if !self.wants => {
                    self.sessions.refuse(*link, "denied").unwrap()
                }
                SessionStep::Verified { link, peer, pairing, .. } => {
                    if *pairing {
                        self.spent = Some(peer.key.clone());
                    }
                    self.contact = Some((**peer).clone());
                    self.sessions.proceed(*link, at(0)).unwrap();
                }
                _ => {}
            }
            self.steps.push(step);
        }
    }

    pub(crate) fn codes(&self) -> Vec<&str> {
        self.steps
            .iter()
            .map(|step| match step {
                SessionStep::Asked { .. } => "asked",
                SessionStep::Proved { .. } => "proved",
                SessionStep::Verified { .. } => "verified",
                SessionStep::Open { .. } => "open",
                SessionStep::Message { .. } => "message",
                SessionStep::Closed { code, .. } => code,
                SessionStep::Failed { code, .. } => code,
            })
            .collect()
    }

    pub(crate) fn messages(&self) -> Vec<(u8, &[u8])> {
        let message = |step: &'_ SessionStep| matches!(step, SessionStep::Message { .. });
        self.steps
            .iter()
            .filter(|step| message(step))
            .map(|step| match step {
                SessionStep::Message { stream, message, .. } => (*stream, message.as_ref()),
                _ => unreachable!(),
            })
            .collect()
    }
}

/// Passes frames until nobody has one.
pub(crate) fn run(a: &mut Host, b: &mut Host) {
    while pass(a, b) | pass(b, a) {}
}

pub(crate) fn pass(from: &mut Host, to: &mut Host) -> bool {
    let mut passed = false;
    while let Some(frame) = from.sessions.poll_frame(LINK, at(0)) {
        to.sessions.frame(LINK, &frame, at(0));
        to.live();
        passed = true;
    }
    passed
}

/// Ann has invited Ben, and both are open.
pub(crate) fn paired() -> (Host, Host) {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    run(&mut ben, &mut ann);
    (ann, ben)
}

/// A new link between the two, dialled by the second.
pub(crate) fn again(ann: &mut Host, ben: &mut Host) {
    for host in [&mut *ann, &mut *ben] {
        host.sessions.link_down(LINK);
        host.live();
        host.steps.clear();
    }
    let peer = ben.contact.clone().unwrap();
    ann.sessions.accept(LINK, [7; 32], at(0)).unwrap();
    ben.sessions.dial(LINK, &peer, [8; 32]).unwrap();
    run(ben, ann);
}
