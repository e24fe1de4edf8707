//! Packet lines: how Git frames what it says (gitprotocol-common(5)), and the side-band within.

use bytes::{Bytes, BytesMut};
use gix_packetline::{
    PacketLineRef,
    decode::{Stream, streaming},
};

/// How much data one packet line holds at most.
const MAX_DATA: usize = 65_516;

/// One packet line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Data(Bytes),
    Flush,
    Delimiter,
    ResponseEnd,
}

/// Bytes that break the protocol; the text says how, and holds nothing of the stranger's unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// One packet of a side-band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Band {
    /// What was asked for.
    Data(Bytes),
    /// Text for a person: progress, and what hooks print.
    Remark(Bytes),
    /// The other side gave up, with these words.
    Fatal(Bytes),
}

/// Takes one packet line off the front of `buffer`, or nothing where it is not complete yet.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
    let malformed = |_| Malformed("a packet line has an impossible length".to_owned());
    let (packet, length) = match streaming(buffer).map_err(malformed)? {
        Stream::Incomplete { .. } => return Ok(None),
        Stream::Complete {
            line,
            bytes_consumed,
        } => {
            let packet = match line {
                PacketLineRef::Data(_) => None,
                PacketLineRef::Flush => Some(Packet::Flush),
                PacketLineRef::Delimiter => Some(Packet::Delimiter),
                PacketLineRef::ResponseEnd => Some(Packet::ResponseEnd),
            };
            (packet, bytes_consumed)
        }
    };
    let mut taken = buffer.split_to(length).freeze();
    Ok(Some(
        packet.unwrap_or_else(|| Packet::Data(taken.split_off(4))),
    ))
}

/// Takes all packet lines of a whole text.
pub(super) fn all(bytes: &[u8]) -> Result<Vec<Packet>, Malformed> {
    let mut buffer = BytesMut::from(bytes);
    let mut packets = Vec::new();
    while let Some(packet) = take(&mut buffer)? {
        packets.push(packet);
    }
    if buffer.is_empty() {
        Ok(packets)
    } else {
        Err(Malformed("a packet line ends too early".to_owned()))
    }
}

/// Appends a packet line; what is longer than one line can hold is cut, which only our own, short
/// lines could meet.
pub(super) fn put(out: &mut Vec<u8>, data: &[u8]) {
    let data = data.get(..MAX_DATA).unwrap_or(data);
    out.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend_from_slice(data);
}

/// Appends a flush.
pub(super) fn put_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Appends a delimiter.
pub(super) fn put_delimiter(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0001");
}

/// Tells which band a packet's data belongs to.
pub(super) fn band(mut data: Bytes) -> Result<Band, Malformed> {
    let Some(band) = data.first().copied() else {
        return Err(Malformed("a side-band packet is empty".to_owned()));
    };
    let rest = data.split_off(1);
    match band {
        1 => Ok(Band::Data(rest)),
        2 => Ok(Band::Remark(rest)),
        3 => Ok(Band::Fatal(rest)),
        _ => Err(Malformed(format!("there is no side-band {band}"))),
    }
}

/// A line without its line end.
pub(super) fn chomp(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// What the other side says in an `ERR` line, if it is one.
pub(super) fn complaint(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"ERR ").map(chomp)
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    #[test]
    fn lengths_are_checked() {
        let check = |bytes: &[u8], expected: Result<Option<Packet>, ()>| {
            let taken = take(&mut BytesMut::from(bytes)).map_err(|_| ());
            assert_eq!(taken, expected, "{bytes:?}");
        };
        let data = |text: &'static str| Ok(Some(Packet::Data(Bytes::from(text))));
        check(b"0000", Ok(Some(Packet::Flush)));
        check(b"0001", Ok(Some(Packet::Delimiter)));
        check(b"0002", Ok(Some(Packet::ResponseEnd)));
        check(b"0003", Err(()));
        check(b"0004", Err(()));
        check(b"0005a", data("a"));
        check(b"0006ab0000", data("ab"));
        check(b"000Aabcdef", data("abcdef"));
        check(b"0006a", Ok(None));
        check(b"000", Ok(None));
        check(b"", Ok(None));
        check(b"zzzz", Err(()));
        check(b"-001", Err(()));
        check(b"ffff", Err(()));
    }

    #[test]
    fn a_band_is_one_of_three() {
        let check = |bytes: &'static [u8], expected: Option<Band>| {
            assert_eq!(band(Bytes::from_static(bytes)).ok(), expected, "{bytes:?}");
        };
        check(b"\x01x", Some(Band::Data(Bytes::from("x"))));
        check(b"\x02\x1b[31m", Some(Band::Remark(Bytes::from("\x1b[31m"))));
        check(b"\x03x", Some(Band::Fatal(Bytes::from("x"))));
        check(b"\x01", Some(Band::Data(Bytes::new())));
        check(b"\x04x", None);
        check(b"", None);
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken(data in collection::vec(any::<u8>(), 1..300)) {
            let mut bytes = Vec::new();
            put(&mut bytes, &data);
            put_flush(&mut bytes);
            let packets = all(&bytes).expect("our own lines");
            prop_assert_eq!(packets, [Packet::Data(Bytes::from(data)), Packet::Flush]);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in collection::vec(any::<u8>(), 0..100)) {
            let _ = all(&bytes);
            let _ = band(Bytes::from(bytes));
        }
    }
}
