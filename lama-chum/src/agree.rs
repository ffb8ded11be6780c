//! Whether both ends hold the same set: what may be concluded from HELLO and SYNCED, and when to say it.
//!
//! Both messages carry a *claim*: "at the head `own` of my log, with your entries up to `peer` in it, my set has
//! this count and fingerprint". Two rules make it safe against claims that lie behind:
//!
//! 1. **Equal is conclusive at any time.** Equal fingerprints mean equal sets, whatever is on its way.
//! 2. **Unequal means something only for a complete claim**: everything up to `own` is durable here, everything
//!    of ours is sent, and `peer` reaches our last object. Then both snapshots cover both logs. HELLO's claim never
//!    does: of what it counts and was not sent, some may be taken back without a trace. An incomplete claim is dropped in silence: a later one follows, since the peer's `peer` or set has yet to change.
//!
//! A claim is made when nothing is left to send and nothing waits to become durable, if the set differs from the
//! one claimed last; or if only positions moved and the peer's own claim does not already equal our set. So both
//! ends fall silent, and a claim never answers a claim for ever: it takes a log that grew.

use crate::Fingerprint;
use crate::wire::Synced;

/// Our and the peer's count and fingerprint.
type Unequal = ((u64, Fingerprint), (u64, Fingerprint));

/// What was claimed, and what was concluded.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    /// Our last claim.
    ours: Option<Synced>,
    /// The peer has dropped our last claim: it speaks of older positions.
    dropped: bool,
    /// Up to where the peer knows our log to be dealt with.
    told: u64,
    /// The peer's last claim, unless objects beyond it have come since.
    theirs: Option<Synced>,
    /// Whether that is HELLO's: it counts what is still to be sent, and may be taken back before it is.
    in_hello: bool,
    equal_reported: Option<(u64, Fingerprint)>,
    unequal_reported: Option<Unequal>,
}

/// A conclusion that was not reported before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal,
    Unequal(Unequal),
}

/// The set of a claim.
const fn set(claim: &Synced) -> (u64, Fingerprint) {
    (claim.count, claim.fingerprint)
}

impl Agreement {
    /// HELLOs are the first claims. The peer takes our log over from `from` on.
    pub(crate) fn begin(&mut self, ours: Synced, theirs: Synced, from: u64) {
        self.ours = Some(ours);
        self.theirs = Some(theirs);
        self.in_hello = true;
        self.told = from;
    }

    /// Both logs are counted from 0 again: older claims say nothing any more.
    pub(crate) const fn begin_again(&mut self) {
        self.theirs = None;
        self.dropped = true;
        self.told = 0;
        self.unequal_reported = None;
    }

    /// Objects came, up to this entry of the peer's log.
    pub(crate) fn objects_came(&mut self, upto: u64) {
        self.theirs = self.theirs.take().filter(|claim| upto <= claim.own);
    }

    /// Objects were sent, up to this entry of our log; `whole`: up to here nothing is left. Beyond our last claim they
    /// make the peer drop it.
    pub(crate) fn objects_sent(&mut self, whole: u64, upto: u64) {
        self.told = whole;
        self.dropped |= self.ours.is_some_and(|ours| upto > ours.own);
    }

    /// The peer claims.
    pub(crate) const fn claimed(&mut self, claim: Synced) {
        self.in_hello = false;
        self.theirs = Some(claim);
    }

    /// Whether to make the claim `now`, which holds with nothing left to do.
    pub(crate) fn claim_due(&self, now: &Synced) -> bool {
        let Some(last) = &self.ours else { return false };
        if self.dropped || set(last) != set(now) {
            return true;
        }
        let moved = last.peer != now.peer || self.told != now.own;
        moved && self.theirs.is_none_or(|theirs| set(&theirs) != set(now))
    }

    /// The claim is being sent.
    pub(crate) const fn claiming(&mut self, now: Synced) {
        self.dropped = false;
        self.told = now.own;
        self.ours = Some(now);
    }

    /// Compares. `own` is our set now; `settled` says whether everything of ours is sent and everything that came
    /// is durable; `received` is how far the peer's log has come, `last_object` our last object in our log.
    pub(crate) fn judge(
        &mut self,
        own: (u64, Fingerprint),
        settled: bool,
        received: u64,
        last_object: u64,
    ) -> Option<Verdict> {
        let theirs = self.theirs.as_ref()?;
        if set(theirs) == own {
            let news = self.equal_reported != Some(own);
            self.equal_reported = Some(own);
            return news.then_some(Verdict::Equal);
        }
        let complete = settled && !self.in_hello && theirs.own <= received && theirs.peer >= last_object;
        if !complete {
            return None;
        }
        let unequal = (own, set(theirs));
        let news = self.unequal_reported != Some(unequal);
        self.unequal_reported = Some(unequal);
        news.then_some(Verdict::Unequal(unequal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(own: u64, peer: u64, set: u8) -> Synced {
        Synced { own, peer, count: set.into(), fingerprint: Fingerprint([set; 16]) }
    }

    fn of(set: u8) -> (u64, Fingerprint) {
        (set.into(), Fingerprint([set; 16]))
    }

    /// We are at 5 and know 3 of them; the peer is at 3 and knows all 5 of ours.
    fn begun(ours: u8, theirs: u8) -> Agreement {
        let mut agreement = Agreement::default();
        agreement.begin(claim(5, 3, ours), claim(3, 5, theirs), 5);
        agreement
    }

    #[test]
    fn equal_is_conclusive_at_any_time_and_said_once() {
        let mut agreement = begun(7, 7);
        assert_eq!(agreement.judge(of(7), false, 0, 99), Some(Verdict::Equal));
        assert_eq!(agreement.judge(of(7), true, 3, 5), None);
        assert!(!agreement.claim_due(&claim(5, 3, 7)));
    }

    #[test]
    fn unequal_needs_a_complete_claim() {
        let unequal = Some(Verdict::Unequal((of(7), of(8))));
        for (settled, received, last_object, verdict) in [
            (false, 3, 5, None), // something of ours is still to be sent, or of theirs to become durable
            (true, 2, 5, None),  // they have more than came
            (true, 3, 6, None),  // they claimed before our last object
            (true, 3, 5, unequal),
        ] {
            let mut agreement = begun(7, 8);
            assert_eq!(
                agreement.judge(of(7), settled, received, last_object),
                None,
                "HELLO counts the unsent"
            );
            agreement.claimed(claim(3, 5, 8));
            assert_eq!(agreement.judge(of(7), settled, received, last_object), verdict);
        }
        let mut agreement = begun(7, 8);
        agreement.claimed(claim(3, 5, 8));
        assert!(agreement.judge(of(7), true, 3, 5).is_some());
        assert_eq!(agreement.judge(of(7), true, 3, 5), None, "once for a pair of snapshots");
    }

    #[test]
    fn objects_beyond_a_claim_end_it() {
        let mut agreement = begun(7, 8);
        agreement.objects_came(3);
        assert!(agreement.theirs.is_some());
        agreement.objects_came(4);
        assert_eq!(agreement.judge(of(8), true, 4, 5), None);
    }

    #[test]
    fn a_claim_is_due_when_the_set_changed_or_a_position_that_matters() {
        let agreement = begun(7, 8);
        assert!(!agreement.claim_due(&claim(5, 3, 7)), "nothing changed since HELLO");
        assert!(agreement.claim_due(&claim(6, 3, 9)), "another set");
        assert!(agreement.claim_due(&claim(5, 4, 7)), "more of theirs is durable");
        assert!(agreement.claim_due(&claim(6, 3, 7)), "our log goes further than they know");
        // Their claim equals our set: they find out by themselves.
        assert!(!begun(7, 7).claim_due(&claim(6, 4, 7)));
        assert!(!Agreement::default().claim_due(&claim(5, 3, 7)), "not before HELLO");
        // Counted from 0 again, both have dropped what was said before.
        let mut again = begun(7, 7);
        again.begin_again();
        again.claimed(claim(3, 5, 7));
        assert!(again.claim_due(&claim(5, 3, 7)));
        again.claiming(claim(5, 3, 7));
        assert!(!again.claim_due(&claim(5, 3, 7)));
    }
}
