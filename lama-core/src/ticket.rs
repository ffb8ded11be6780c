//! Names for effects that are under way.

/// Names one effect (storing, dialling, signing) from the output that asks for it to the input that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Gives out tickets, each one once.
#[derive(Debug, Default)]
pub struct Tickets {
    next: u64,
}

impl Tickets {
    /// The next ticket: never one that was given out before.
    pub fn issue(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next = self.next.wrapping_add(1);
        ticket
    }
}
