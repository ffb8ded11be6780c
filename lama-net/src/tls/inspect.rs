//! What is wrong with a certificate, before anybody dials: for `lama relay check`.

use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use super::server::{TlsFilesError, TlsServer};

/// From here on an end is near: 14 days.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Something that clients will refuse, or will soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The files cannot be used at all.
    Files(TlsFilesError),
    /// It was valid until then.
    Expired {
        /// Unix seconds.
        until: i64,
    },
    /// It is valid from then on.
    NotYetValid {
        /// Unix seconds.
        from: i64,
    },
    /// It is valid for 14 days more at most.
    ExpiresSoon {
        /// Unix seconds.
        until: i64,
    },
    /// It is for other names.
    WrongName,
    /// Nobody but its owner has signed it: clients have to be told to trust it.
    SelfSigned,
}

/// Holds certificates (PEM, the relay's own first) and key against each other, the name of the relay, and the time in
/// seconds since the Unix epoch. Empty: nothing is wrong with them; whether a client trusts the issuer only it can say.
#[must_use]
pub fn inspect_certificate(certificates: &[u8], key: &[u8], host: &str, now: i64) -> Vec<CertificateFault> {
    let mut faults = Vec::new();
    if let Err(error) = TlsServer::from_pem(certificates, key) {
        faults.push(CertificateFault::Files(error));
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates).filter_map(Result::ok).collect();
    let Some(own) = chain.first() else { return faults };
    if let Ok(parsed) = ParsedCertificate::try_from(own) {
        let name = ServerName::try_from(host.to_owned());
        if name.is_err() || name.is_ok_and(|name| verify_server_name(&parsed, &name).is_err()) {
            faults.push(CertificateFault::WrongName);
        }
    }
    // One that has ended ends the chain, whichever it is.
    let times = chain.iter().filter_map(|certificate| fields(certificate));
    let (from, until) = times
        .fold((i64::MIN, i64::MAX), |(from, until), fields| (from.max(fields.from), until.min(fields.until)));
    let soon = i64::try_from(SOON.as_secs()).unwrap_or_default();
    if until < now {
        faults.push(CertificateFault::Expired { until });
    } else if from > now {
        faults.push(CertificateFault::NotYetValid { from });
    } else if until.saturating_sub(now) < soon {
        faults.push(CertificateFault::ExpiresSoon { until });
    }
    if chain.len() == 1 && fields(own).is_some_and(|fields| fields.self_issued) {
        faults.push(CertificateFault::SelfSigned);
    }
    faults
}

/// What the certificate library does not tell.
struct Fields {
    from: i64,
    until: i64,
    self_issued: bool,
}

/// Reads RFC 5280 as far as the validity; `None`: it is something else.
fn fields(certificate: &[u8]) -> Option<Fields> {
    let (_, outer, _) = element(certificate)?;
    let (_, mut rest, _) = element(outer)?;
    // [0] version, serial number, signature algorithm: only the first may be missing.
    if *rest.first()? == 0xa0 {
        rest = element(rest)?.2;
    }
    rest = element(rest)?.2;
    rest = element(rest)?.2;
    let (_, issuer, rest) = element(rest)?;
    let (_, validity, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    let (tag, from, rest) = element(validity)?;
    let from = time(tag, from)?;
    let (tag, until, _) = element(rest)?;
    Some(Fields { from, until: time(tag, until)?, self_issued: issuer == subject })
}

/// The tag and the content of the first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| (len << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as RFC 5280 allows them, in seconds since the Unix epoch.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = digits.split_at_checked(match tag {
        0x17 => 2,
        0x18 => 4,
        _ => return None,
    })?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
        })
    };
    let year = match (tag, number(year)?) {
        (0x17, year @ 0..50) => 2000 + year,
        (0x17, year) => 1900 + year,
        (_, year) => year,
    };
    let mut parts = rest.chunks(2).map(number);
    let mut next = || parts.next().flatten();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if rest.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The days since 1970, with March as the first month of a year: then the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_certificates() {
        assert_eq!(time(0x17, b"700101000000Z"), Some(0));
        assert_eq!(time(0x17, b"000229120000Z"), Some(951_825_600));
        assert_eq!(time(0x17, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(0x18, b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time(0x18, b"99991231235959Z"), Some(253_402_300_799));
        for (tag, text) in [
            (0x17, &b"7001010000Z"[..]),
            (0x17, b"700001000000Z"),
            (0x17, b"70010100000xZ"),
            (0x17, b"700101000000"),
            (0x18, b"700101000000Z"),
            (0x02, b"700101000000Z"),
        ] {
            assert_eq!(time(tag, text), None);
        }
    }

    #[test]
    fn what_is_no_certificate_is_none_wherever_it_is_cut() {
        let params = rcgen::CertificateParams::new(vec!["relay.test".into()]).unwrap();
        let whole = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let whole: &[u8] = whole.der();
        assert!(fields(whole).is_some());
        for end in 0..whole.len() {
            assert!(fields(&whole[..end]).is_none(), "{end}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut other = whole.to_vec();
                other[at] ^= 1 << bit;
                let _ = fields(&other);
            }
        }
    }
}
