//! Entries that change no set: an object is gone that both have, or is to be had again. Sets do not tell of them, so
//! where sets decide what is sent, these are looked up in the log and sent as well.

use alloc::vec::Vec;

use lama_core::Ticket;

use crate::ChumError;

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
    /// The last of them at HELLO, and the head of the log then.
    last: u64,
    head: u64,
    /// The peer has all of them up to here.
    known: u64,
    search: Option<Search>,
    ticket: Option<Ticket>,
    /// The step under way was asked for by an earlier search.
    stale: bool,
}

/// Entries to send, and the end of the log that was looked at.
pub(crate) type Sending = (Vec<u64>, u64);

impl News {
    /// In a log that ends at `head`, the last such entry is `last`.
    pub(crate) const fn at(last: u64, head: u64) -> Self {
        Self { last, head, known: 0, search: None, ticket: None, stale: false }
    }

    /// The peer has our log up to here.
    pub(crate) fn knows(&mut self, upto: u64) {
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
        let after = if self.last > self.known { self.known } else { self.known.max(self.head) };
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
        let mut news = News::at(40, 100);
        news.knows(60);
        assert_eq!(news.join(alloc::vec![7], 100), Some((alloc::vec![7], 100)), "the last one is known");
        assert_eq!(news.join(alloc::vec![7], 120), None, "what grew since is not");
        assert_eq!(news.next_step(), Some((100, STEP)));
        let mut news = News::at(40, 100);
        news.knows(30);
        assert_eq!(news.join(alloc::vec![50, 7], 100), None);
        news.asking(Ticket(1));
        assert!(news.is_step(Ticket(1)) && news.next_step().is_none());
        assert_eq!(news.found(&[40, 50], 80), Ok(None));
        assert_eq!(news.next_step(), Some((80, STEP)));
        news.asking(Ticket(2));
        assert_eq!(news.found(&[99, 101], 110), Ok(Some((alloc::vec![7, 40, 50, 99], 100))));
        assert_eq!(news.found(&[], 120), Ok(None), "no longer wanted");
    }

    #[test]
    fn the_answer_to_an_earlier_search_is_passed_over() {
        let mut news = News::at(9, 9);
        assert_eq!(news.join(Vec::new(), 9), None);
        news.asking(Ticket(1));
        news.knows(5);
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
            let mut news = News::at(1, 9);
            assert_eq!(news.join(Vec::new(), 9), None);
            assert_eq!(news.found(seqs, next), Err(ChumError::PageOutOfOrder));
        }
    }
}
