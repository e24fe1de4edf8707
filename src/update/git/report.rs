//! What a server says to a push: the report on each reference, and what its hooks print.

use bstr::ByteSlice as _;
use bytes::{Bytes, BytesMut};

use crate::egress::one_line;

use super::packet::{self, Band, Malformed, Packet};

/// The answer to one push of one reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// What the server says of our reference.
    pub(super) result: Verdict,
    /// What its hooks printed and what it said besides, on one line.
    pub(super) remarks: String,
}

/// What the server says of a reference; only reading the reference back makes it true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The report does not mention the reference.
    #[default]
    Silent,
    /// It moved.
    Accepted,
    /// It did not, for this reason.
    Refused(String),
}

impl Report {
    /// Reads the answer to a push of `reference`.
    pub(super) fn parse(body: &[u8], side_band: bool, reference: &str) -> Result<Self, Malformed> {
        let mut report = Self::default();
        let packets = packet::all(body)?;
        if !side_band {
            report.read(&packets, reference)?;
            return Ok(report);
        }
        let mut nested = BytesMut::new();
        let mut remarks = BytesMut::new();
        let mut fatal = None;
        for packet in packets {
            let Packet::Data(data) = packet else {
                break;
            };
            match packet::band(data)? {
                Band::Data(data) => nested.extend_from_slice(&data),
                Band::Remark(text) => remarks.extend_from_slice(&text),
                Band::Fatal(text) => fatal = Some(text),
            }
        }
        report.remarks = tidy(&remarks.freeze());
        match fatal {
            Some(text) => report.result = Verdict::Refused(one_line(&text)),
            None => report.read(&packet::all(&nested)?, reference)?,
        }
        Ok(report)
    }

    fn read(&mut self, packets: &[Packet], reference: &str) -> Result<(), Malformed> {
        let mut unpack = None;
        for packet in packets {
            let Packet::Data(data) = packet else {
                break;
            };
            let line = packet::chomp(data);
            if let Some(words) = packet::complaint(line) {
                self.result = Verdict::Refused(one_line(words));
                return Ok(());
            }
            let mut words = line.splitn(3, |byte| *byte == b' ');
            match (words.next().unwrap_or_default(), words.next()) {
                (b"unpack", Some(_)) => unpack = line.strip_prefix(b"unpack "),
                (b"ok", Some(name)) if name == reference.as_bytes() => {
                    self.result = Verdict::Accepted;
                }
                (b"ng", Some(name)) if name == reference.as_bytes() => {
                    let reason = words.next().unwrap_or(b"no reason given");
                    self.result = Verdict::Refused(one_line(reason));
                }
                // Newer servers add options; other references are not ours.
                (b"ok" | b"ng" | b"option", Some(_)) => {}
                _ => {
                    let line = one_line(line);
                    return Err(Malformed(format!("`{line}` is no line of a report")));
                }
            }
        }
        match unpack {
            Some(b"ok") => {}
            Some(reason) => {
                let reason = one_line(reason);
                self.result = Verdict::Refused(format!("the server could not unpack: {reason}"));
            }
            None => self.result = Verdict::Silent,
        }
        Ok(())
    }

    /// The reason and the remarks together, for a message.
    pub(super) fn reason(&self) -> String {
        let reason = match &self.result {
            Verdict::Silent => "the server did not report on the branch",
            Verdict::Accepted => "the server reported success, and the branch did not move",
            Verdict::Refused(reason) => reason,
        };
        if self.remarks.is_empty() {
            reason.to_owned()
        } else {
            format!("{reason} ({})", self.remarks)
        }
    }
}

/// Progress repaints its line with carriage returns: only what stays on the screen is kept.
fn tidy(remarks: &Bytes) -> String {
    let lines: Vec<&[u8]> = remarks
        .split_str("\n")
        .map(|line| {
            let line = line.trim_end();
            line.rsplit_str("\r").next().unwrap_or(line).trim()
        })
        .filter(|line| !line.is_empty())
        .collect();
    one_line(&lines.join(&b"; "[..]))
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    const MAIN: &str = "refs/heads/main";

    fn plain(lines: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        for line in lines {
            packet::put(&mut body, line.as_bytes());
        }
        packet::put_flush(&mut body);
        body
    }

    fn banded(bands: &[(u8, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (band, data) in bands {
            packet::put(&mut body, &[&[*band], *data].concat());
        }
        packet::put_flush(&mut body);
        body
    }

    #[test]
    fn only_our_reference_counts() {
        let refused = |reason: &str| Some(Verdict::Refused(reason.to_owned()));
        let check = |lines: &[&str], expected: Option<Verdict>| {
            let report = Report::parse(&plain(lines), false, MAIN).ok();
            assert_eq!(report.map(|report| report.result), expected, "{lines:?}");
        };
        check(
            &["unpack ok\n", "ok refs/heads/main\n"],
            Some(Verdict::Accepted),
        );
        check(
            &["unpack ok\n", "ok refs/heads/other\n"],
            Some(Verdict::Silent),
        );
        check(&["unpack ok\n"], Some(Verdict::Silent));
        check(&[], Some(Verdict::Silent));
        check(&["ok refs/heads/main\n"], Some(Verdict::Silent));
        check(
            &[
                "unpack ok\n",
                "ng refs/heads/main pre-receive hook declined\n",
            ],
            refused("pre-receive hook declined"),
        );
        check(
            &["unpack ok\n", "ng refs/heads/main\n"],
            refused("no reason given"),
        );
        check(
            &["unpack index-pack failed\n", "ok refs/heads/main\n"],
            refused("the server could not unpack: index-pack failed"),
        );
        check(&["ERR out of disk\n"], refused("out of disk"));
        check(&["<html>\n"], None);
    }

    #[test]
    fn what_a_hook_prints_is_kept_on_one_line() {
        let nested = plain(&["unpack ok\n", "ng refs/heads/main \x1b[31mno\n"]);
        let body = banded(&[
            (2, b"10%\r20%\rdone\n"),
            (2, b"\x1b[2Jprotected\nask ops\n"),
            (1, &nested[..7]),
            (1, &nested[7..]),
        ]);
        let report = Report::parse(&body, true, MAIN).expect("a report");
        let reason = report.reason();
        assert!(!reason.contains(char::is_control), "{reason:?}");
        assert!(reason.contains("no (done; "), "{reason}");
        assert!(reason.contains("protected; ask ops"), "{reason}");
    }

    #[test]
    fn a_fatal_word_is_a_refusal() {
        let report = Report::parse(&banded(&[(3, b"too large\n")]), true, MAIN).expect("a report");
        assert_eq!(report.result, Verdict::Refused("too large".to_owned()));
        assert!(Report::parse(&banded(&[(4, b"x")]), true, MAIN).is_err());
        assert!(Report::parse(b"0005", true, MAIN).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(
            lines in collection::vec(collection::vec(any::<u8>(), 1..80), 0..6),
            side_band in any::<bool>(),
        ) {
            let mut body = Vec::new();
            for line in &lines {
                packet::put(&mut body, line);
            }
            packet::put_flush(&mut body);
            if let Ok(report) = Report::parse(&body, side_band, MAIN) {
                prop_assert!(!report.reason().contains(char::is_control));
            }
        }
    }
}
