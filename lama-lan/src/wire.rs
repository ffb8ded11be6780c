//! The packets: a small part of DNS (RFC 1035), as multicast DNS sends it (RFC 6762). Nothing of a packet is copied.
//!
//! A question asks for the TXT record of `TAG._lama._tcp.local`, with the tag in hexadecimal. An answer is that record:
//! `a=` and then family (4), address, port and proof. There is no record of a service or a host: its name would be one
//! more thing by which somebody is known again.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use bytes::{BufMut as _, Bytes, BytesMut};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use subtle::ConstantTimeEq as _;

/// Where multicast DNS is spoken.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// At which port.
pub const PORT: u16 = 5353;
/// The longest packet that is read, in bytes (RFC 6762, 17).
pub const MAX_PACKET: usize = 9000;

/// Questions that go into one packet, which then has less than 1,300 bytes.
pub(crate) const QUESTIONS: usize = 32;
/// Answers that go into one packet.
pub(crate) const ANSWERS: usize = 16;
/// Questions or records of one packet that are looked at.
const MAX_RECORDS: usize = 256;

const SUFFIX: [&[u8]; 3] = [b"_lama", b"_tcp", b"local"];
/// Where the suffix of the first name lies: behind the header and one label.
const SUFFIX_AT: u16 = 12 + 33;
const TXT: u16 = 16;
const ANY: u16 = 255;
const IN: u16 = 1;
/// "This is the only record of that name."
const FLUSH: u16 = 0x8000;
const RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
/// Seconds for which caches on the way may keep an answer.
const TTL: u32 = 120;
const KEY: &[u8] = b"a=";
const FAMILY: u8 = 4;

/// A name that two instances know in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub [u8; 16]);

/// What only the other of the two can make. Compared in constant time.
#[derive(Debug, Clone, Copy)]
pub struct Proof(pub [u8; 16]);

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl Eq for Proof {}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Which question it answers.
    pub tag: Tag,
    /// Where the answerer listens.
    pub at: SocketAddrV4,
    /// That it is so.
    pub proof: Proof,
}

/// A packet, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Names that somebody asks for.
    Questions(Vec<Tag>),
    /// What somebody answers.
    Answers(Vec<Answer>),
}

/// A packet that asks for these names; at most `QUESTIONS` of them.
pub(crate) fn questions(tags: &[Tag]) -> Bytes {
    let mut packet = header(0, tags.len(), 0);
    for (at, tag) in tags.iter().enumerate() {
        name(&mut packet, *tag, at == 0);
        packet.put_u16(TXT);
        packet.put_u16(IN);
    }
    packet.freeze()
}

/// A packet with these answers; at most `ANSWERS` of them.
pub(crate) fn answers(answers: &[Answer]) -> Bytes {
    let mut packet = header(RESPONSE | AUTHORITATIVE, 0, answers.len());
    for (at, answer) in answers.iter().enumerate() {
        name(&mut packet, answer.tag, at == 0);
        packet.put_u16(TXT);
        packet.put_u16(IN | FLUSH);
        packet.put_u32(TTL);
        let text = KEY.len() + 1 + 4 + 2 + 16;
        packet.put_u16(u16::try_from(text + 1).unwrap_or_default());
        packet.put_u8(u8::try_from(text).unwrap_or_default());
        packet.put_slice(KEY);
        packet.put_u8(FAMILY);
        packet.put_slice(&answer.at.ip().octets());
        packet.put_u16(answer.at.port());
        packet.put_slice(&answer.proof.0);
    }
    packet.freeze()
}

fn header(flags: u16, questions: usize, answers: usize) -> BytesMut {
    let mut packet = BytesMut::with_capacity(1500);
    packet.put_u16(0);
    packet.put_u16(flags);
    for count in [questions, answers, 0, 0] {
        packet.put_u16(u16::try_from(count).unwrap_or_default());
    }
    packet
}

fn name(packet: &mut BytesMut, tag: Tag, first: bool) {
    packet.put_u8(32);
    packet.put_slice(HEXLOWER.encode(&tag.0).as_bytes());
    if !first {
        return packet.put_u16(0xc000 | SUFFIX_AT);
    }
    for label in SUFFIX {
        packet.put_u8(u8::try_from(label.len()).unwrap_or_default());
        packet.put_slice(label);
    }
    packet.put_u8(0);
}

/// Reads a packet. What does not concern us is passed over; `None`: it is no DNS packet of the kind that is sent by
/// multicast, or it contradicts itself.
#[must_use]
pub fn read(packet: &[u8]) -> Option<Packet> {
    let mut reader = Reader { packet, at: 2 };
    let flags = reader.u16()?;
    // Operation and outcome are 0 in all that is sent by multicast (RFC 6762, 18.3 and 18.11).
    if packet.len() > MAX_PACKET || flags & 0x780f != 0 {
        return None;
    }
    let (asked, answered) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
    reader.at = 12;
    if flags & RESPONSE == 0 {
        let mut tags = Vec::new();
        for _ in 0..asked.min(MAX_RECORDS) {
            let (tag, kind, class) = (reader.name()?, reader.u16()?, reader.u16()?);
            if matches!(kind, TXT | ANY) && class & !FLUSH == IN {
                tags.extend(tag);
            }
        }
        return Some(Packet::Questions(tags));
    }
    let mut answers = Vec::new();
    // Nobody repeats the questions in what is sent by multicast, and who does is not followed.
    if asked > 0 {
        return None;
    }
    for _ in 0..answered.min(MAX_RECORDS) {
        let (tag, kind, class) = (reader.name()?, reader.u16()?, reader.u16()?);
        let _ttl = (reader.u16()?, reader.u16()?);
        let len = usize::from(reader.u16()?);
        let data = reader.take(len)?;
        if kind == TXT && class & !FLUSH == IN {
            answers.extend(tag.and_then(|tag| answer(tag, data)));
        }
    }
    Some(Packet::Answers(answers))
}

/// The first string of a TXT record.
fn answer(tag: Tag, data: &[u8]) -> Option<Answer> {
    let (len, strings) = data.split_first()?;
    let text = strings.get(..usize::from(*len))?.strip_prefix(KEY)?;
    let (family, rest) = text.split_first()?;
    let (address, rest) = rest.split_first_chunk::<4>()?;
    let (port, proof) = rest.split_first_chunk::<2>()?;
    let at = SocketAddrV4::new((*address).into(), u16::from_be_bytes(*port));
    let proof = Proof(proof.try_into().ok()?);
    (*family == FAMILY).then_some(Answer { tag, at, proof })
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.packet.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name; `Some(None)`: one that is none of ours. Ends: a pointer leads before all that was read of the name.
    fn name(&mut self) -> Option<Option<Tag>> {
        let mut labels: [&[u8]; 4] = [&[]; 4];
        let (mut count, mut length, mut lowest, mut end) = (0, 0, self.at, None);
        loop {
            let head = usize::from(*self.take(1)?.first()?);
            match head >> 6 {
                0 if head == 0 => break,
                0 => {
                    let label = self.take(head)?;
                    length += head + 1;
                    if length > 254 {
                        return None;
                    }
                    if let Some(place) = labels.get_mut(count) {
                        *place = label;
                    }
                    count += 1;
                }
                3 => {
                    let target = (head & 0x3f) << 8 | usize::from(*self.take(1)?.first()?);
                    end.get_or_insert(self.at);
                    if target >= lowest {
                        return None;
                    }
                    (lowest, self.at) = (target, target);
                }
                _ => return None,
            }
        }
        self.at = end.unwrap_or(self.at);
        let [tag, suffix @ ..] = labels;
        let ours =
            count == 4 && suffix.iter().zip(SUFFIX).all(|(label, ours)| label.eq_ignore_ascii_case(ours));
        Some(if ours { tag_of(tag) } else { None })
    }
}

fn tag_of(label: &[u8]) -> Option<Tag> {
    let mut tag = [0; 16];
    let right = label.len() == 32 && HEXLOWER_PERMISSIVE.decode_mut(label, &mut tag) == Ok(16);
    right.then_some(Tag(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u8) -> Tag {
        Tag([n; 16])
    }

    #[test]
    fn questions_read_back_and_fit_into_one_frame() {
        let tags: Vec<Tag> = (0..QUESTIONS).map(|n| tag(n as u8)).collect();
        let packet = questions(&tags);
        assert!(packet.len() < 1300, "{}", packet.len());
        assert_eq!(read(&packet), Some(Packet::Questions(tags)));
    }

    #[test]
    fn answers_read_back_and_fit_into_one_frame() {
        let at = |n: u8| SocketAddrV4::new([192, 168, 1, n].into(), 8765);
        let all: Vec<Answer> =
            (0..ANSWERS as u8).map(|n| Answer { tag: tag(n), at: at(n), proof: Proof([n; 16]) }).collect();
        let packet = answers(&all);
        assert!(packet.len() < 1300, "{}", packet.len());
        assert_eq!(read(&packet), Some(Packet::Answers(all)));
    }

    #[test]
    fn names_are_read_in_either_case_and_others_are_passed_over() {
        let mut packet = questions(&[tag(0xab), tag(2)]).to_vec();
        packet[13..45].make_ascii_uppercase();
        packet[46..51].make_ascii_uppercase();
        assert_eq!(read(&packet), Some(Packet::Questions([tag(0xab), tag(2)].into())));
        let mut other = questions(&[tag(1), tag(2)]).to_vec();
        other[47] = b'x';
        assert_eq!(read(&other), Some(Packet::Questions(Vec::new())), "both have the suffix of the first");
    }

    #[test]
    fn names_that_lead_to_themselves_or_forward_end_the_packet() {
        let good = questions(&[tag(1), tag(2)]);
        let pointer = good.len() - 6;
        for target in [pointer, pointer - 33, good.len() - 1, 0x3fff] {
            let mut packet = good.to_vec();
            packet[pointer..pointer + 2].copy_from_slice(&(0xc000 | target as u16).to_be_bytes());
            assert_eq!(read(&packet), None, "{target}");
        }
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn what_is_no_multicast_dns_is_not_read() {
        let good = questions(&[tag(1)]);
        for flags in [0x0800_u16, 0x0003, 0x8003] {
            let mut packet = good.to_vec();
            packet[2..4].copy_from_slice(&flags.to_be_bytes());
            assert_eq!(read(&packet), None, "{flags:x}");
        }
        assert_eq!(read(&[0; MAX_PACKET + 1]), None);
    }
}
