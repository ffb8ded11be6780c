//! Why one side refuses the other, as far as the wire says it: a closed list of coarse codes, never text.

use core::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)+
        }

        impl $name {
            /// Every code of this version.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The byte on the wire.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// Reads the byte on the wire; `None` for a code that this version does not have.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }
    };
}

codes! {
    /// Why a peer that has proved itself is refused (REJECT). Nobody else is told anything.
    RejectCode {
        /// A rule of the protocol was broken.
        Protocol = 1, "a rule of the protocol was broken; is the other side's version too old or too new?";
        /// No common version, or a higher one was stripped.
        Version = 2, "no common version; update the older side";
        /// The connection group is not what the other side wants or allows.
        Group = 3, "the other side does not allow what this connection is for";
        /// The same person on both sides.
        SamePerson = 4, "both sides belong to the same person; invite another person";
        /// Another person, or another key of that person, than expected.
        Person = 5, "the other side knows this person by another key; compare keys and pair again";
        /// The certificate or log is not accepted.
        Identity = 6, "the other side does not accept this certificate";
        /// The invitation was used by another, has expired or was revoked.
        Token = 7, "the invitation was used, has expired or was revoked; ask for a new one";
        /// The other side does not want this person.
        Blocked = 8, "the other side does not want this contact";
        /// The user said no, or the check code did not match.
        Denied = 9, "the other side's user said no";
        /// Not now: a limit was reached.
        Busy = 10, "the other side has reached a limit; try again later";
    }
}

codes! {
    /// Why a session ends (CLOSE).
    CloseCode {
        /// Nothing more to say.
        Done = 0, "done";
        /// The process stops.
        Shutdown = 1, "the other side shuts down";
        /// Another session between the same two instances goes on.
        Duplicate = 2, "another session with the same instance goes on";
        /// Time for fresh keys: connect again.
        Renew = 3, "time for a new session with fresh keys";
        /// The contact was removed, or the key was revoked.
        Removed = 4, "the other side removed this contact or revoked this key";
        /// The user said no, or the check code did not match.
        Denied = 5, "the other side's user said no";
        /// A rule of the protocol was broken.
        Protocol = 6, "a rule of the protocol was broken";
        /// A limit was reached, or no answer came in time.
        Limit = 7, "the other side has reached a limit";
        /// Something failed at the other side.
        Internal = 8, "something failed at the other side";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_others_do_not_exist() {
        for code in RejectCode::ALL {
            assert_eq!(RejectCode::from_number(code.number()), Some(*code));
        }
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(code.number()), Some(*code));
        }
        assert_eq!((RejectCode::from_number(0), RejectCode::from_number(11)), (None, None));
        assert_eq!(CloseCode::from_number(9), None);
    }
}
