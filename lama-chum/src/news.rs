//! Entries that change no set: an object is gone that both have, or is to be had again. Sets do not tell of them, so
//! where sets decide what is sent, these are looked up in the log and sent as well.
//!
//! What an instance has acknowledged of them it knows, whatever epochs our own store begins. Only a new life of the
//! instance may have forgotten it (it was restored from an older backup): then its cursor into our log says what it knows.
//! What it said itself it may have forgotten, too, and is said back.

use alloc::vec::Vec;

use lama_core::Ticket;

use crate::wire::{Hello, LogNews};
use crate::{ChumError, Epoch, NO_EPOCH, Past, Positions};

/// Entries looked at in one step.
const STEP: usize = 65_536;

/// A look through the log, and what is to be sent with what it finds.
#[derive(Debug)]
struct Search {
    after: u64,
    upto: u64,
    seqs: Vec<u64>,
}

/// What is known of such entries in our log.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The last of them at HELLO that counts, and the head of the log then.
    last: u64,
    head: u64,
    /// The last of them, those included that came from the instance: it may have forgotten what it said.
    last_of_all: u64,
    /// Up to where the instance once acknowledged the log, and in which epoch of ours.
    acked: Positions,
    acked_in: Epoch,
    /// The life of the instance in which that was.
    acked_by: Epoch,
    /// Our epoch before this one, and up to where its log is that of this one.
    before: (Epoch, u64),
    /// The last life of the instance that had acknowledged all of it.
    life: Epoch,
    /// The peer has all of them up to here.
    known: Positions,
    search: Option<Search>,
    ticket: Option<Ticket>,
    /// The step under way was asked for by an earlier search.
    stale: bool,
}

/// Entries to send, and the end of the log that was looked at.
pub(crate) type Sending = (Vec<u64>, u64);

impl News {
    /// In a log that ends at `head` and of which nothing else is known.
    pub(crate) fn at(head: u64) -> Self {
        // What is not told may have happened.
        Self { last: head, last_of_all: head, head, ..Self::default() }
    }

    /// In a log that ends at `head`, with what the host knows.
    pub(crate) fn of(past: &Past, head: u64) -> Self {
        let Past { news, last_news, acked, acked_in, acked_by, before, life, .. } = *past;
        let last_of_all = last_news;
        Self { last: news, last_of_all, head, acked, acked_in, acked_by, before, life, ..Self::default() }
    }

    /// What HELLO says of it. `own` is our life, `life` that of the instance in which something was taken over from it last.
    pub(crate) fn to_say(past: &Past, (own, life): (Epoch, Epoch)) -> LogNews {
        // A life that has not heard all may have forgotten what it said itself.
        let forgotten = past.last_news > past.acked.whole() && life != NO_EPOCH && life != past.life;
        // To a life of ours that a backup has undone it may have listened beyond what this one knows.
        let undone = past.last_news > 0 && past.acked_in != own;
        if past.news > past.acked.whole() || forgotten || undone {
            LogNews::Open
        } else if past.last_news > 0 {
            LogNews::Acknowledged
        } else {
            LogNews::None
        }
    }

    /// With both HELLOs it is known what the peer has. Gives that if it is not what it once acknowledged, in this life.
    pub(crate) fn meets(&mut self, ours: &Hello, theirs: &Hello) -> Option<Positions> {
        let remembers = |life: Epoch| life == theirs.head.epoch && life != NO_EPOCH;
        // Of an older life of ours its cursor says what it has as far as the log of that one was the one that we have.
        let all = Positions::all;
        let before = (self.before.0, all(self.before.1));
        let same = [(ours.head.epoch, all(u64::MAX)), (self.acked_in, self.acked), before];
        let cursor = theirs.cursor;
        let covered = same.iter().any(|(epoch, limit)| *epoch == cursor.epoch && limit.covers(cursor.upto));
        // What it has heard of a log beyond that may take back any news of before.
        let misled = cursor.epoch != NO_EPOCH && !covered;
        let told = (cursor.epoch != NO_EPOCH).then_some(cursor.upto);
        let acked = remembers(self.acked_by).then_some(self.acked);
        let known = told.into_iter().chain(acked).fold(all(0), Positions::max);
        self.known = if misled { all(0) } else { known };
        if misled || !remembers(self.life) {
            self.last = self.last_of_all;
        }
        (self.known != self.acked || !remembers(self.acked_by)).then_some(self.known)
    }

    /// The peer has our log up to here.
    pub(crate) fn knows(&mut self, upto: Positions) {
        self.known = upto.max(self.known);
    }

    /// What is under way is not wanted any more.
    pub(crate) fn drop_search(&mut self) {
        self.search = None;
        self.stale = self.ticket.is_some();
    }

    /// These entries are to be sent, of a log that is looked at up to `upto`; with what changes no set, if there is any.
    /// `Some`: they are all, now.
    pub(crate) fn join(&mut self, seqs: Vec<u64>, upto: u64) -> Option<Sending> {
        let known = self.known.whole();
        let after = if self.last > known { known } else { known.max(self.head) };
        self.drop_search();
        if after >= upto {
            return Some((seqs, upto));
        }
        self.search = Some(Search { after, upto, seqs });
        None
    }

    /// The next step to ask for: after which entry, and how many.
    pub(crate) fn next_step(&self) -> Option<(u64, usize)> {
        self.search.as_ref().filter(|_| self.ticket.is_none()).map(|search| (search.after, STEP))
    }

    /// What the peer has of each lane.
    pub(crate) const fn known(&self) -> Positions {
        self.known
    }

    /// Notes the step that was asked for.
    pub(crate) const fn asking(&mut self, ticket: Ticket) {
        self.ticket = Some(ticket);
    }

    /// Whether `ticket` names the step under way.
    pub(crate) fn is_step(&self, ticket: Ticket) -> bool {
        self.ticket == Some(ticket)
    }

    /// Takes what a step found, up to `next`. All entries to send, once the last step is done.
    pub(crate) fn found(&mut self, seqs: &[u64], next: u64) -> Result<Option<Sending>, ChumError> {
        self.ticket = None;
        // What was asked for before a round began says nothing of this one.
        let stale = core::mem::take(&mut self.stale);
        let Some(search) = self.search.as_mut().filter(|_| !stale) else { return Ok(None) };
        if next <= search.after || seqs.iter().any(|seq| *seq <= search.after || *seq > next) {
            return Err(ChumError::PageOutOfOrder);
        }
        let upto = search.upto;
        search.seqs.extend(seqs.iter().filter(|seq| **seq <= upto));
        search.after = next;
        if next < upto {
            return Ok(None);
        }
        Ok(self.search.take().map(|mut search| {
            search.seqs.sort_unstable();
            search.seqs.dedup();
            (search.seqs, upto)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_peer_may_lack_is_looked_through() {
        let at = |last, head| News { last, ..News::at(head) };
        let mut news = at(40, 100);
        news.knows(Positions::all(60));
        assert_eq!(news.join(alloc::vec![7], 100), Some((alloc::vec![7], 100)), "the last one is known");
        assert_eq!(news.join(alloc::vec![7], 120), None, "what grew since is not");
        assert_eq!(news.next_step(), Some((100, STEP)));
        let mut news = at(40, 100);
        news.knows(Positions::all(40));
        assert_eq!(news.join(alloc::vec![7], 100), Some((alloc::vec![7], 100)), "just so");
        let mut news = at(40, 100);
        news.knows(Positions::all(30));
        assert_eq!(news.known(), Positions::all(30));
        assert_eq!(news.join(alloc::vec![50, 7], 100), None);
        news.asking(Ticket(1));
        assert!(news.is_step(Ticket(1)) && news.next_step().is_none());
        assert_eq!(news.found(&[40, 50], 80), Ok(None));
        assert_eq!(news.next_step(), Some((80, STEP)));
        news.asking(Ticket(2));
        assert_eq!(news.found(&[99, 101], 110), Ok(Some((alloc::vec![7, 40, 50, 99], 100))));
        assert_eq!(news.found(&[], 120), Ok(None), "no longer wanted");
    }

    /// What the host knows bounds the search; where it knows nothing, all may have happened.
    #[test]
    fn without_a_past_everything_is_looked_through() {
        let meets = |mut news: News| {
            let head = crate::ViewHead { epoch: [1; 8], seq: 100, ..crate::ViewHead::default() };
            let hello = Hello { head, cursor: crate::Cursor::default(), news: LogNews::None };
            news.meets(&hello, &hello);
            (news.join(Vec::new(), 100), news.next_step())
        };
        assert_eq!(meets(News::at(100)), (None, Some((0, STEP))));
        assert_eq!(meets(News::of(&Past::default(), 100)), (Some((Vec::new(), 100)), None));
    }

    #[test]
    fn the_answer_to_an_earlier_search_is_passed_over() {
        let mut news = News::at(9);
        assert_eq!(news.join(Vec::new(), 9), None);
        news.asking(Ticket(1));
        news.knows(Positions::all(5));
        assert_eq!(news.join(alloc::vec![2], 9), None);
        assert!(news.next_step().is_none(), "one step at a time");
        assert_eq!(news.found(&[1], 3), Ok(None));
        assert_eq!(news.next_step(), Some((5, STEP)));
        news.asking(Ticket(2));
        assert_eq!(news.found(&[7], 9), Ok(Some((alloc::vec![2, 7], 9))));
    }

    #[test]
    fn a_step_that_leads_nowhere_is_refused() {
        for (seqs, next) in [(&[][..], 0), (&[0][..], 5), (&[6][..], 5)] {
            let mut news = News { last: 1, ..News::at(9) };
            assert_eq!(news.join(Vec::new(), 9), None);
            assert_eq!(news.found(seqs, next), Err(ChumError::PageOutOfOrder));
        }
    }

    #[test]
    fn hello_says_whether_the_peer_may_lack_news() {
        let all = Positions::all;
        // All news are acknowledged, in this life of ours and that of the peer.
        let told = Past { last_news: 40, acked: all(50), acked_in: [1; 8], life: [2; 8], ..Past::default() };
        let forgotten = Past { acked: all(30), ..told };
        for (past, life, expected, name) in [
            (told, 2, LogNews::Acknowledged, "it has heard them"),
            (told, 3, LogNews::Acknowledged, "its cursor says whether another life has"),
            (Past { last_news: 0, ..told }, 2, LogNews::None, "there are none"),
            (Past { last_news: 0, acked_in: [9; 8], ..told }, 2, LogNews::None, "nor were there any"),
            (Past { news: 51, ..told }, 2, LogNews::Open, "the last of them it has not heard"),
            (Past { news: 50, ..told }, 2, LogNews::Acknowledged, "that one, too"),
            (Past { acked_in: [9; 8], ..told }, 2, LogNews::Open, "it heard them of a life that is undone"),
            (forgotten, 2, LogNews::Acknowledged, "it said the others itself"),
            (forgotten, 3, LogNews::Open, "and has forgotten them in another life"),
            (forgotten, 0, LogNews::Acknowledged, "nothing was taken over from it"),
            (Past { acked: all(40), ..told }, 3, LogNews::Acknowledged, "the last of all is acknowledged"),
        ] {
            let life = if life == 0 { NO_EPOCH } else { [life; 8] };
            assert_eq!(News::to_say(&past, ([1; 8], life)), expected, "{name}");
        }
    }

    #[test]
    fn what_was_acknowledged_is_known_until_the_peer_begins_another_life() {
        let before = ([7; 8], 60);
        let past = Past {
            last_news: 40,
            acked: Positions::all(50),
            acked_in: [1; 8],
            acked_by: [2; 8],
            before,
            life: [2; 8],
            ..Past::default()
        };
        for (ours, life, cursor, known, name) in [
            (1, 2, (1, 70), 70, "nothing has happened"),
            (1, 2, (0, 0), 50, "it has lost its cursor, as in a round that was cut"),
            (9, 2, (1, 40), 50, "we begin another life"),
            (9, 2, (1, 70), 0, "and it has heard what we lost"),
            (9, 2, (7, 60), 60, "we begin another life, and have not heard of all that it has"),
            (9, 2, (7, 80), 0, "nor do we have all that it has"),
            (9, 3, (7, 55), 55, "and so does it"),
            (1, 3, (1, 30), 30, "it was restored"),
            (9, 3, (1, 30), 30, "both begin another life"),
            (9, 3, (1, 70), 0, "and it has what we had not heard of"),
            (9, 3, (8, 30), 0, "and nothing is known of its cursor"),
            (1, 3, (0, 0), 0, "and it has none"),
        ] {
            let hello = |epoch: u8, (of, upto)| Hello {
                head: crate::ViewHead { epoch: [epoch; 8], seq: 100, ..crate::ViewHead::default() },
                cursor: crate::Cursor::all([of; 8], upto),
                news: LogNews::None,
            };
            let mut news = News::of(&past, 100);
            let lost = news.meets(&hello(ours, (life, 5)), &hello(life, cursor));
            let all = Positions::all;
            assert_eq!(
                (news.known, lost),
                (all(known), (known != 50 || life != 2).then_some(all(known))),
                "{name}"
            );
            assert_eq!(news.last, if life == 3 || known == 0 { 40 } else { 0 }, "{name}");
        }
    }
}
