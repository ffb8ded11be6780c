//! Encodings that CBOR allows and DAG-CBOR, as narrowed here, does not.

use lama_identity::EncodingError;

/// The deviations that `security.md` 7 speaks of, and those beside them: what they are, the bytes, what the checker
/// says, and whether plain ciborium takes them.
pub(crate) fn deviations() -> Vec<(&'static str, Vec<u8>, EncodingError)> {
    use EncodingError as E;
    vec![
        ("integer in one byte too many", vec![0x18, 0x17], E::NotShortest),
        ("integer in eight bytes", vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 1], E::NotShortest),
        ("negative integer too long", vec![0x39, 0, 0], E::NotShortest),
        ("text length too long", vec![0x78, 1, b'a'], E::NotShortest),
        ("byte string length too long", vec![0x59, 0, 1, 7], E::NotShortest),
        ("array head too long", vec![0x98, 1, 0], E::NotShortest),
        ("map head too long", vec![0xb8, 1, 0x61, b'a', 0], E::NotShortest),
        ("indefinite map", vec![0xbf, 0x61, b'a', 0, 0xff], E::Indefinite),
        ("indefinite array", vec![0x9f, 0, 0xff], E::Indefinite),
        ("indefinite text", vec![0x7f, 0x61, b'a', 0xff], E::Indefinite),
        ("trailing byte", vec![0xa1, 0x61, b'a', 0, 0], E::Trailing),
        ("tag 55799 around it", vec![0xd9, 0xd9, 0xf7, 0xa0], E::Tag),
        ("bignum", vec![0xc2, 0x41, 1], E::Tag),
        ("byte string as key", vec![0xa1, 0x41, b'a', 0], E::KeyNotText),
        ("integer as key", vec![0xa1, 0, 0], E::KeyNotText),
        ("one key twice", vec![0xa2, 0x61, b'a', 0, 0x61, b'a', 0], E::KeyTwice),
        ("longer key first", vec![0xa2, 0x62, b'a', b'a', 0, 0x61, b'b', 0], E::KeyOrder),
        ("greater key first", vec![0xa2, 0x61, b'b', 0, 0x61, b'a', 0], E::KeyOrder),
        ("float of 16 bits", vec![0xf9, 0x3c, 0x00], E::ShortFloat),
        ("float of 32 bits", vec![0xfa, 0x3f, 0x80, 0, 0], E::ShortFloat),
        ("not a number", vec![0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], E::FloatValue),
        ("infinite", vec![0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], E::FloatValue),
        ("undefined", vec![0xf7], E::Simple),
        ("simple value in two bytes", vec![0xf8, 0x20], E::Simple),
        ("simple value 16", vec![0xf0], E::Simple),
        ("break alone", vec![0xff], E::Indefinite),
        ("text that is not UTF-8", vec![0x61, 0xff], E::Text),
        ("key that is not UTF-8", vec![0xa1, 0x61, 0xff, 0], E::Text),
        ("tag 42 without bytes", vec![0xd8, 42, 0], E::Link),
        ("tag 42 without the zero", vec![0xd8, 42, 0x41, 1], E::Link),
        ("tag 42 in a long head", vec![0xd9, 0, 42, 0x41, 0], E::NotShortest),
        ("nothing", vec![], E::Truncated),
        ("half an integer", vec![0x19, 1], E::Truncated),
        (
            "bytes that are not there",
            vec![0x5b, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            E::Truncated,
        ),
        ("an array of 2^62", vec![0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0, 0], E::Truncated),
        ("a map of 2^62", vec![0xbb, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x61, b'a', 0], E::Truncated),
    ]
}
