//! Handshake patterns as tables (Noise sections 7.4, 7.5 and 9.4).

use Token::{E, Ee, Es, S, Se, Ss};
use alloc::string::String;

/// One step within a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The sender's ephemeral key, in clear.
    E,
    /// The sender's static key, encrypted once there is a key.
    S,
    /// DH of both ephemerals.
    Ee,
    /// DH of the initiator's ephemeral and the responder's static.
    Es,
    /// DH of the initiator's static and the responder's ephemeral.
    Se,
    /// DH of both statics.
    Ss,
    /// The next pre-shared key.
    Psk,
}

/// A pattern without modifiers.
#[derive(Debug, PartialEq, Eq)]
struct Base {
    name: &'static str,
    /// The initiator's static key is known beforehand.
    initiator_known: bool,
    /// The responder's static key is known beforehand.
    responder_known: bool,
    messages: &'static [&'static [Token]],
}

/// A handshake pattern with its `psk` modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    base: &'static Base,
    /// Bit `n`: modifier `psk<n>`.
    psk: u8,
}

static XK_BASE: Base = Base {
    name: "XK",
    initiator_known: false,
    responder_known: true,
    messages: &[&[E, Es], &[E, Ee], &[S, Se]],
};

impl Pattern {
    /// `XK`: what contacts that know each other speak.
    pub const XK: Self = Self { base: &XK_BASE, psk: 0 };

    /// `XKpsk3`: what an invitation leads to.
    pub const XK_PSK3: Self = Self { base: &XK_BASE, psk: 1 << 3 };

    /// Reads a pattern's name, such as `XKpsk3` or `XXpsk0+psk3`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (base, modifiers) = name.split_at(name.find("psk").unwrap_or(name.len()));
        let base = BASES.iter().find(|known| known.name == base)?;
        let mut psk = 0_u8;
        for modifier in modifiers.split('+').filter(|_| !modifiers.is_empty()) {
            let place: usize = modifier.strip_prefix("psk")?.parse().ok()?;
            let bit = 1_u8.checked_shl(u32::try_from(place).ok()?)?;
            if place > base.messages.len() || psk >= bit {
                return None;
            }
            psk |= bit;
        }
        Some(Self { base, psk })
    }

    /// The pattern's name with its modifiers, as it stands in a protocol name.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = String::from(self.base.name);
        let mut separator = "psk";
        for (place, digit) in ('0'..='7').enumerate() {
            if self.has_psk(place) {
                name.push_str(separator);
                name.push(digit);
                separator = "+psk";
            }
        }
        name
    }

    /// Whether the initiator's static key is known beforehand.
    #[must_use]
    pub const fn initiator_known(&self) -> bool {
        self.base.initiator_known
    }

    /// Whether the responder's static key is known beforehand.
    #[must_use]
    pub const fn responder_known(&self) -> bool {
        self.base.responder_known
    }

    /// Whether pre-shared keys take part.
    #[must_use]
    pub const fn uses_psk(&self) -> bool {
        self.psk != 0
    }

    /// How many pre-shared keys take part.
    #[must_use]
    pub const fn psk_count(&self) -> usize {
        self.psk.count_ones() as usize
    }

    /// How many messages there are.
    #[must_use]
    pub const fn message_count(&self) -> usize {
        self.base.messages.len()
    }

    /// The tokens of message `index`, from zero; `None` after the last.
    pub fn tokens(&self, index: usize) -> Option<impl Iterator<Item = Token> + use<>> {
        let tokens = *self.base.messages.get(index)?;
        let before = (index == 0 && self.has_psk(0)).then_some(Token::Psk);
        let after = self.has_psk(index.saturating_add(1)).then_some(Token::Psk);
        Some(before.into_iter().chain(tokens.iter().copied()).chain(after))
    }

    const fn has_psk(&self, place: usize) -> bool {
        place < 8 && self.psk >> place & 1 == 1
    }
}

/// The one-way, fundamental and deferred patterns.
#[rustfmt::skip]
static BASES: &[Base] = &[
    Base { name: "N", initiator_known: false, responder_known: true, messages: &[&[E, Es]] },
    Base { name: "K", initiator_known: true, responder_known: true, messages: &[&[E, Es, Ss]] },
    Base { name: "X", initiator_known: false, responder_known: true, messages: &[&[E, Es, S, Ss]] },
    Base { name: "NN", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee]] },
    Base { name: "NK", initiator_known: false, responder_known: true, messages: &[&[E, Es], &[E, Ee]] },
    Base { name: "NX", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee, S, Es]] },
    Base { name: "XN", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee], &[S, Se]] },
    Base { name: "XK", initiator_known: false, responder_known: true, messages: &[&[E, Es], &[E, Ee], &[S, Se]] },
    Base { name: "XX", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee, S, Es], &[S, Se]] },
    Base { name: "KN", initiator_known: true, responder_known: false, messages: &[&[E], &[E, Ee, Se]] },
    Base { name: "KK", initiator_known: true, responder_known: true, messages: &[&[E, Es, Ss], &[E, Ee, Se]] },
    Base { name: "KX", initiator_known: true, responder_known: false, messages: &[&[E], &[E, Ee, Se, S, Es]] },
    Base { name: "IN", initiator_known: false, responder_known: false, messages: &[&[E, S], &[E, Ee, Se]] },
    Base { name: "IK", initiator_known: false, responder_known: true, messages: &[&[E, Es, S, Ss], &[E, Ee, Se]] },
    Base { name: "IX", initiator_known: false, responder_known: false, messages: &[&[E, S], &[E, Ee, Se, S, Es]] },
    Base { name: "NK1", initiator_known: false, responder_known: true, messages: &[&[E], &[E, Ee, Es]] },
    Base { name: "NX1", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee, S], &[Es]] },
    Base { name: "X1N", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee], &[S], &[Se]] },
    Base { name: "X1K", initiator_known: false, responder_known: true, messages: &[&[E, Es], &[E, Ee], &[S], &[Se]] },
    Base { name: "XK1", initiator_known: false, responder_known: true, messages: &[&[E], &[E, Ee, Es], &[S, Se]] },
    Base { name: "X1K1", initiator_known: false, responder_known: true, messages: &[&[E], &[E, Ee, Es], &[S], &[Se]] },
    Base { name: "X1X", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee, S, Es], &[S], &[Se]] },
    Base { name: "XX1", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee, S], &[Es, S, Se]] },
    Base { name: "X1X1", initiator_known: false, responder_known: false, messages: &[&[E], &[E, Ee, S], &[Es, S], &[Se]] },
    Base { name: "K1N", initiator_known: true, responder_known: false, messages: &[&[E], &[E, Ee], &[Se]] },
    Base { name: "K1K", initiator_known: true, responder_known: true, messages: &[&[E, Es], &[E, Ee], &[Se]] },
    Base { name: "KK1", initiator_known: true, responder_known: true, messages: &[&[E], &[E, Ee, Se, Es]] },
    Base { name: "K1K1", initiator_known: true, responder_known: true, messages: &[&[E], &[E, Ee, Es], &[Se]] },
    Base { name: "K1X", initiator_known: true, responder_known: false, messages: &[&[E], &[E, Ee, S, Es], &[Se]] },
    Base { name: "KX1", initiator_known: true, responder_known: false, messages: &[&[E], &[E, Ee, Se, S], &[Es]] },
    Base { name: "K1X1", initiator_known: true, responder_known: false, messages: &[&[E], &[E, Ee, S], &[Se, Es]] },
    Base { name: "I1N", initiator_known: false, responder_known: false, messages: &[&[E, S], &[E, Ee], &[Se]] },
    Base { name: "I1K", initiator_known: false, responder_known: true, messages: &[&[E, Es, S], &[E, Ee], &[Se]] },
    Base { name: "IK1", initiator_known: false, responder_known: true, messages: &[&[E, S], &[E, Ee, Se, Es]] },
    Base { name: "I1K1", initiator_known: false, responder_known: true, messages: &[&[E, S], &[E, Ee, Es], &[Se]] },
    Base { name: "I1X", initiator_known: false, responder_known: false, messages: &[&[E, S], &[E, Ee, S, Es], &[Se]] },
    Base { name: "IX1", initiator_known: false, responder_known: false, messages: &[&[E, S], &[E, Ee, Se, S], &[Es]] },
    Base { name: "I1X1", initiator_known: false, responder_known: false, messages: &[&[E, S], &[E, Ee, S], &[Se, Es]] },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for base in BASES {
            let plain = Pattern::parse(base.name).unwrap();
            assert_eq!(plain.name(), base.name);
            assert!(!plain.uses_psk());
        }
        for name in ["XKpsk3", "Npsk0", "XXpsk0+psk1+psk2+psk3", "NXpsk0+psk1+psk2"] {
            assert_eq!(Pattern::parse(name).unwrap().name(), name);
        }
        assert_eq!(Pattern::parse("XK").unwrap().name(), Pattern::XK.name());
        assert_eq!(Pattern::parse("XKpsk3").unwrap().psk, Pattern::XK_PSK3.psk);
        for name in [
            "",
            "ZZ",
            "XKpsk4",
            "XKpsk3+psk0",
            "XKpsk3+psk3",
            "XKpsk",
            "XKpsk9",
            "XKfallback",
            "XKpsk0+",
            "NNpsk99",
        ] {
            assert!(Pattern::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn psk_tokens_stand_where_the_modifier_says() {
        let tokens = |name, index| {
            let pattern = Pattern::parse(name).unwrap();
            pattern.tokens(index).map(Iterator::collect::<alloc::vec::Vec<_>>)
        };
        assert_eq!(tokens("XKpsk3", 0).unwrap(), [E, Es]);
        assert_eq!(tokens("XKpsk3", 2).unwrap(), [S, Se, Token::Psk]);
        assert_eq!(tokens("XKpsk3", 3), None);
        assert_eq!(tokens("NNpsk0+psk2", 0).unwrap(), [Token::Psk, E]);
        assert_eq!(tokens("NNpsk0+psk2", 1).unwrap(), [E, Ee, Token::Psk]);
    }
}
