//! Counting wrong secrets, per invitation and per source.

use core::net::IpAddr;

use lama_core::{Instant, SortedMap};

use crate::config::Config;

/// Where a connection comes from, as coarse as the limits need it: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source([u8; 16]);

impl Source {
    /// The source of a connection from this address. One subscriber usually holds a whole /64.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                let net = core::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
                Self(net.octets())
            }
        }
    }

    /// A source that is no address, such as one connection of a relay.
    #[must_use]
    pub const fn new(id: [u8; 16]) -> Self {
        Self(id)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Wrong secrets of one source since `start`.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    count: u16,
}

/// All sources that sent a wrong secret lately, bounded.
#[derive(Debug, Default)]
pub(crate) struct Sources(SortedMap<Source, Window>);

impl Sources {
    /// Counts one wrong secret; `true` if the source has had more than it may.
    pub(crate) fn count(&mut self, config: &Config, mono: Instant, source: Source) -> bool {
        if !self.0.contains_key(&source) && self.0.len() >= config.max_sources {
            self.forget_oldest();
        }
        let window = self.0.entry(source).or_insert(Window { start: mono, count: 0 });
        if mono.since(window.start) >= config.source_window {
            *window = Window { start: mono, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count > config.wrong_per_source
    }

    fn forget_oldest(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, window)| window.start).map(|(source, _)| *source);
        if let Some(source) = oldest {
            self.0.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn addresses_of_one_subscriber_are_one_source() {
        let of = |text: &str| Source::of_ip(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_window_ends_and_the_table_is_bounded() {
        let config = Config { max_sources: 2, wrong_per_source: 1, ..Config::default() };
        let at = |secs| Instant::from_origin(Duration::from_secs(secs));
        let source = |n| Source::new([n; 16]);
        let mut sources = Sources::default();
        assert!(!sources.count(&config, at(0), source(1)));
        assert!(sources.count(&config, at(3599), source(1)));
        assert!(!sources.count(&config, at(3600), source(1)));
        assert!(!sources.count(&config, at(3601), source(2)));
        assert!(!sources.count(&config, at(3602), source(3)));
        assert_eq!(sources.0.len(), 2);
        // The first one made room, so it begins anew, and the second goes.
        assert!(!sources.count(&config, at(3603), source(1)));
        assert!(sources.count(&config, at(3604), source(3)));
        assert!(!sources.count(&config, at(3605), source(2)));
    }
}
