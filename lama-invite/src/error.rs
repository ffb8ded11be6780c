//! Why something about an invitation did not work, in words for the person who has to do something about it.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use lama_core::WallTime;
use lama_identity::{NoisePublic, PersonId};

use crate::config::{MAX_LINK, MAX_ROUTES};
use crate::route::{HostClass, UrlProblem};
use crate::secret::Locator;

/// How a link is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// White space inside: it was wrapped or copied in two pieces.
    WhiteSpace,
    /// A character that base64url does not have.
    Character,
    /// Too short to be an invitation, or cut off in the middle.
    Truncated,
    /// The check bytes at its end do not fit the rest: something was changed.
    Checksum,
    /// Undamaged, but not canonical DAG-CBOR: whoever wrote it does not keep to the format.
    Encoding,
    /// Canonical DAG-CBOR, but not the fields of an invitation.
    Shape,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WhiteSpace => "there is white space in it, so it was probably wrapped",
            Self::Character => "it holds a character that does not belong there",
            Self::Truncated => "the end is missing",
            Self::Checksum => "at least one character was changed",
            Self::Encoding => "it is not encoded as an invitation must be",
            Self::Shape => "its fields are not those of an invitation",
        })
    }
}

/// Which part went wrong, for hosts that treat the parts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// What another person's program made or did breaks a rule.
    Peer,
    /// The caller, or the user in front of it, asked for something that cannot be.
    Misuse,
    /// A limit of [`Config`](crate::Config) is reached.
    Limit,
    /// Too late.
    Timeout,
    /// The machine's own clock or store is in the way.
    Local,
}

/// Everything that can be wrong with an invitation or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InviteError {
    // --- the link, before any network access ---
    /// Nothing was given.
    NoLink,
    /// Longer than any invitation.
    LinkTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It begins with something else than `lama:`, `https:` or the `http:` of this machine.
    WrongScheme {
        /// What it begins with, at most 16 characters, empty if there is no scheme at all.
        found: String,
    },
    /// There is nothing behind a `#`, where the invitation should be.
    NoFragment,
    /// The fragment was changed or cut.
    Damaged(Damage),
    /// Made by a newer version of the format.
    NewerVersion {
        /// The version of the invitation.
        found: u64,
        /// The newest version this program reads.
        known: u64,
    },
    /// A cipher suite this program does not have.
    UnknownSuite {
        /// The number of the suite.
        found: u64,
    },
    /// The inviter's key is one that no honest instance has.
    BadKey,
    /// No route at all, or more than the format allows.
    RouteCount {
        /// How many there are.
        found: usize,
    },
    /// A URL in it breaks a rule.
    BadUrl(UrlProblem),
    /// It has routes, but none that may be dialled as things are.
    NotAllowed {
        /// The nearest place that one of them leads to.
        class: HostClass,
    },
    /// Past its end by the joiner's own clock.
    Expired {
        /// When it ended.
        exp: WallTime,
        /// What the joiner's clock says.
        now: WallTime,
    },
    /// Made by an instance of the same person who wants to join.
    SamePerson {
        /// The person on both sides.
        person: PersonId,
        /// The key of the instance that made the invitation.
        inviter: NoisePublic,
    },
    // --- making invitations ---
    /// A lifetime of zero, or above the limit.
    Lifetime {
        /// What was asked for.
        asked: Duration,
        /// The longest possible.
        max: Duration,
    },
    /// Too many invitations are open.
    TooManyActive {
        /// The limit.
        max: usize,
    },
    /// The ledger holds this invitation already.
    Duplicate,
    /// The link is too long for a QR code.
    QrTooLong,
    // --- spending tokens: the inviter's side ---
    /// No such invitation.
    Unknown,
    /// Spent by somebody else, or at this very moment by a faster one.
    Spent,
    /// Revoked.
    Revoked,
    /// Past its end, by the wall clock or by the time that has passed since it was made.
    TokenExpired,
    /// Muted after too many wrong secrets.
    Muted {
        /// For how much longer.
        left: Duration,
    },
    /// The wall clock went back, so nothing can be said about expiry.
    ClockBehind {
        /// The highest reading seen.
        highest: WallTime,
        /// What it reads now.
        now: WallTime,
    },
    /// The pairing is complete: there is nothing left to revoke.
    AlreadyCompleted {
        /// Which invitation.
        locator: Locator,
    },
    /// Completing what was not consumed by this joiner first.
    NotConsumed,
    /// The store could not make the step durable.
    NotStored,
}

impl InviteError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoLink => "invite.no-link",
            Self::LinkTooLong { .. } => "invite.link-too-long",
            Self::WrongScheme { .. } => "invite.wrong-scheme",
            Self::NoFragment => "invite.no-fragment",
            Self::Damaged(_) => "invite.damaged",
            Self::NewerVersion { .. } => "invite.newer-version",
            Self::UnknownSuite { .. } => "invite.unknown-suite",
            Self::BadKey => "invite.bad-key",
            Self::RouteCount { .. } => "invite.route-count",
            Self::BadUrl(_) => "invite.bad-url",
            Self::NotAllowed { .. } => "invite.route-not-allowed",
            Self::Expired { .. } => "invite.expired",
            Self::SamePerson { .. } => "invite.same-person",
            Self::Lifetime { .. } => "invite.lifetime",
            Self::TooManyActive { .. } => "invite.too-many-active",
            Self::Duplicate => "invite.duplicate",
            Self::QrTooLong => "invite.qr-too-long",
            Self::Unknown => "token.unknown",
            Self::Spent => "token.spent",
            Self::Revoked => "token.revoked",
            Self::TokenExpired => "token.expired",
            Self::Muted { .. } => "token.muted",
            Self::ClockBehind { .. } => "token.clock-behind",
            Self::AlreadyCompleted { .. } => "token.already-completed",
            Self::NotConsumed => "token.not-consumed",
            Self::NotStored => "token.not-stored",
        }
    }

    /// Which part went wrong.
    #[must_use]
    pub const fn bucket(&self) -> Bucket {
        match self {
            Self::NewerVersion { .. }
            | Self::UnknownSuite { .. }
            | Self::BadKey
            | Self::RouteCount { .. }
            | Self::BadUrl(_)
            | Self::Unknown
            | Self::Spent
            | Self::Revoked => Bucket::Peer,
            Self::Damaged(Damage::Encoding | Damage::Shape) => Bucket::Peer,
            Self::NoLink
            | Self::WrongScheme { .. }
            | Self::NoFragment
            | Self::Damaged(_)
            | Self::NotAllowed { .. }
            | Self::SamePerson { .. }
            | Self::Duplicate
            | Self::AlreadyCompleted { .. }
            | Self::NotConsumed => Bucket::Misuse,
            Self::LinkTooLong { .. }
            | Self::Lifetime { .. }
            | Self::TooManyActive { .. }
            | Self::QrTooLong
            | Self::Muted { .. } => Bucket::Limit,
            Self::Expired { .. } | Self::TokenExpired => Bucket::Timeout,
            Self::ClockBehind { .. } | Self::NotStored => Bucket::Local,
        }
    }
}

/// A span as a person says it, rounded down: "3 minutes", "2 hours".
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, unit) = match self.0 {
            s @ 0..120 => (s, "second"),
            s @ 120..7_200 => (s / 60, "minute"),
            s @ 7_200..172_800 => (s / 3_600, "hour"),
            s => (s / 86_400, "day"),
        };
        write!(f, "{n} {unit}{}", if n == 1 { "" } else { "s" })
    }
}

/// The first 80 bits of a key in base32, to be compared by people.
struct Short<'a>(&'a [u8; 32]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.0.first_chunk::<10>().copied().unwrap_or_default();
        f.write_str(&data_encoding::BASE32_NOPAD.encode(&head).to_ascii_lowercase())
    }
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLink => f.write_str("no invitation was given; paste the whole link that `lama invite` printed"),
            Self::LinkTooLong { len } => write!(
                f,
                "this is no invitation: it has {len} bytes and a link has at most {MAX_LINK}; \
                 paste only the link that `lama invite` printed"
            ),
            Self::WrongScheme { found } if found.is_empty() => f.write_str(
                "this is no invitation: it does not begin with lama:// or https://; \
                 paste the whole link that `lama invite` printed",
            ),
            Self::WrongScheme { found } => write!(
                f,
                "this is no invitation: it begins with {found:?} and not with lama:// or https://; \
                 paste the whole link that `lama invite` printed"
            ),
            Self::NoFragment => f.write_str(
                "the part behind the # is missing, and the invitation is in it; \
                 copy the whole link, and quote it on a command line",
            ),
            Self::Damaged(damage) => {
                write!(f, "the invitation is damaged: {damage}; copy the link again, whole and in one piece")
            }
            Self::NewerVersion { found, known } => write!(
                f,
                "the invitation is of version {found} and this program reads up to version {known}; update this program"
            ),
            Self::UnknownSuite { found } => write!(
                f,
                "the invitation asks for cipher suite {found}, which this program does not have; update this program"
            ),
            Self::BadKey => f.write_str(
                "the inviter's key in the invitation is not a valid key; do not use it, ask for a new invitation",
            ),
            Self::RouteCount { found } => write!(
                f,
                "the invitation names {found} routes to the inviter and must name 1 to {MAX_ROUTES}; ask for a new one"
            ),
            Self::BadUrl(problem) => {
                write!(f, "a URL in the invitation cannot be used: {problem}; ask for a new invitation")
            }
            Self::NotAllowed { class: HostClass::Loopback } => f.write_str(
                "the invitation leads to this machine and was opened by another program; \
                 paste it into `lama join` yourself, or allow it with --lan",
            ),
            Self::NotAllowed { class } => write!(
                f,
                "the invitation leads to {class}, which is not dialled unasked; if you trust who sent it, join with --lan"
            ),
            Self::Expired { exp, now } => write!(
                f,
                "the invitation expired {} ago by this machine's clock; ask for a new one, \
                 or correct the clock if it is wrong",
                Span(now.unix_seconds().saturating_sub(exp.unix_seconds()))
            ),
            Self::SamePerson { person, inviter } => write!(
                f,
                "the invitation was made by person {person} (the instance with key {}), and this instance \
                 belongs to the same person {person}; instances of one person do not pair with each other: join \
                 from an instance of another person (`lama --data DIR init OTHER@EMAIL`)",
                Short(inviter.as_bytes())
            ),
            _ => self.fmt_token(f),
        }
    }
}

impl InviteError {
    /// The second half of `Display`: making and spending.
    fn fmt_token(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lifetime { asked, max } => write!(
                f,
                "an invitation cannot be valid for {}; ask for 1 second to {}",
                Span(asked.as_secs()),
                Span(max.as_secs())
            ),
            Self::TooManyActive { max } => write!(
                f,
                "{max} invitations are open and that is the limit; revoke one (`lama pending` lists \
                 them, `lama revoke LOCATOR`) or wait until one expires"
            ),
            Self::Duplicate => {
                f.write_str("this invitation was issued before; make a new one with a fresh seed")
            }
            Self::QrTooLong => f.write_str("the link is too long for a QR code; send it as text"),
            Self::Unknown => f.write_str("no such invitation; `lama pending` shows those there are"),
            Self::Spent => {
                f.write_str("the invitation was used by somebody else; make one invitation for each person")
            }
            Self::Revoked => f.write_str("the invitation was revoked; make a new one"),
            Self::TokenExpired => f.write_str("the invitation has expired; make a new one"),
            Self::Muted { left } => write!(
                f,
                "too many attempts with a wrong secret were made on this invitation, so it does not answer for {}; \
                 wait, or revoke it and make a new one",
                Span(left.as_secs().saturating_add(1))
            ),
            Self::ClockBehind { highest, now } => write!(
                f,
                "this machine's clock went back by {}, so invitations are disabled; correct the clock, \
                 or revoke all invitations if it was wrong before",
                Span(highest.unix_seconds().saturating_sub(now.unix_seconds()))
            ),
            Self::AlreadyCompleted { locator } => {
                write!(f, "invitation {locator} has already made a contact; remove the contact instead")
            }
            Self::NotConsumed => {
                f.write_str("the invitation was not consumed by this joiner; this is a bug in the caller")
            }
            _ => f.write_str(
                "the store could not record the invitation's state; see the store's own error and try again",
            ),
        }
    }
}

impl core::error::Error for InviteError {}
