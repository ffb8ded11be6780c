//! How often each thing happened that the runs are about: a run in which nothing goes wrong proves little.

use std::fmt;
use std::ops::AddAssign;

macro_rules! tally {
    ($($name:ident: $text:literal),* $(,)?) => {
        /// Counts of events.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[allow(missing_docs)] // each says in `Display` what it counts
        pub struct Tally {
            $(pub $name: u64),*
        }

        impl AddAssign for Tally {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Tally {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>9}  {}", self.$name, $text)?;)*
                Ok(())
            }
        }
    };
}

tally! {
    runs: "histories",
    writes: "commits by their persons",
    objects: "objects made",
    granted: "grants by themselves",
    withheld: "grants that were withheld",
    rules: "access rules signed",
    members: "versions of groups signed",
    concurrent: "of those rules and versions, with two parents or more",
    ruled_in: "objects that a rule showed to somebody",
    ruled_out: "objects that a rule took from somebody",
    revoked_before: "revoked before they were sent",
    revoked_on_the_way: "revoked on the way, or after",
    deleted: "deleted",
    revived: "made again after they were deleted",
    told_gone: "ids received as gone",
    obeyed_gone: "objects deleted because they were said to be gone",
    posts: "channel entries written",
    amended: "of those, edits and deletions",
    imports: "batches imported",
    overtaken: "of those, batches that somebody waits for and that went before others",
    received: "objects received",
    received_twice: "of those, brought by somebody else before",
    repeated: "of those, sent again by the same instance after a new grant",
    unheard: "of those, sent again because the word that they are durable was lost",
    crossed: "of those, on their way when another round began",
    set_aside: "objects that waited for a link",
    sessions: "sessions",
    replayed: "sessions that went on at a cursor",
    reconciled: "rounds of reconciliation",
    salted: "rounds after SYNCED was unequal",
    undecoded: "of those, told by cells or lists because 32 cells were not decoded",
    more: "decodes that failed and asked for more cells",
    lists: "lists of short ids",
    out_of_sync: "reports that the sets differ",
    cuts: "links cut inside or behind a message",
    lost_answers: "imports that became durable, and nobody heard of it",
    crashes: "crashes",
    restarts: "restarts in good order",
    restored: "restores of an older backup",
    frames: "messages delivered",
    bytes: "bytes of messages delivered",
    scanned_hits: "ids found in messages, all of them allowed",
    hidden: "writes that one of two peers must not notice",
}
