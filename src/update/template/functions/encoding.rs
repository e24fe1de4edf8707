//! Hashes and encodings.

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::{Call, Function, Outcome};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sha1sum", 1, 1, |call| {
        hash(call, |bytes| hex(&Sha1::digest(bytes)))
    }),
    Function::new("sha256sum", 1, 1, |call| {
        hash(call, |bytes| hex(&Sha256::digest(bytes)))
    }),
    Function::new("sha512sum", 1, 1, |call| {
        hash(call, |bytes| hex(&Sha512::digest(bytes)))
    }),
    Function::new("adler32sum", 1, 1, |call| {
        hash(call, |bytes| adler32(bytes).to_string())
    }),
    Function::new("b64enc", 1, 1, |call| {
        let text = call.text(0)?;
        call.give(STANDARD.encode(&*text))
    }),
    Function::new("b64dec", 1, 1, |call| {
        let text = call.text(0)?.replace(['\r', '\n'], "");
        let decoded = LENIENT.decode(text.as_bytes());
        give(
            call,
            decoded.map_err(|_| at_byte("base64", bad_base64(&text))),
        )
    }),
    Function::new("b32enc", 1, 1, |call| {
        let text = call.text(0)?;
        call.give(base32(text.as_bytes()))
    }),
    Function::new("b32dec", 1, 1, |call| {
        let text = call.text(0)?.replace(['\r', '\n'], "");
        let decoded = from_base32(&text);
        give(call, decoded.map_err(|offset| at_byte("base32", offset)))
    }),
];

fn hash(call: &mut Call<'_>, digest: fn(&[u8]) -> String) -> Outcome {
    let text = call.text(0)?;
    // Hashing costs more than copying.
    call.meter.spend_text(4 * text.len())?;
    call.give(digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

fn adler32(bytes: &[u8]) -> u32 {
    const PRIME: u32 = 65_521;
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % PRIME;
        high = (high + low) % PRIME;
    }
    high << 16 | low
}

/// Gives decoded bytes as text, or, as Sprig does, the error's own text.
fn give(call: &mut Call<'_>, decoded: Result<Vec<u8>, String>) -> Outcome {
    match decoded {
        Ok(bytes) => call.give(String::from_utf8_lossy(&bytes)),
        Err(text) => call.give(text),
    }
}

fn at_byte(encoding: &str, offset: usize) -> String {
    format!("illegal {encoding} data at input byte {offset}")
}

/// Base64 as Go reads it: bits that the padding cuts off need not be zero.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The offset that Go names when a text is no base64.
fn bad_base64(text: &str) -> usize {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    let Some(bad) = text.bytes().position(|byte| !is_digit(byte)) else {
        return text.len() / 4 * 4;
    };
    let rest = text.get(bad..).unwrap_or_default();
    match (bad % 4, rest) {
        (2, "=") => text.len(),
        (2, rest) if rest.starts_with("==") => bad + 2,
        (2 | 3, rest) if rest.starts_with('=') => bad + 1,
        _ => bad,
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let bits = group
            .iter()
            .chain(std::iter::repeat(&0))
            .take(5)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let filled = (group.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * index) & 31).unwrap_or_default();
            let letter = BASE32.get(digit).copied().unwrap_or(b'=');
            encoded.push(if index < filled {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    encoded
}

/// Decodes padded base32; the error is the offset that Go names.
fn from_base32(text: &str) -> Result<Vec<u8>, usize> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let mut decoded = Vec::with_capacity(digits.len() * 5 / 8);
    for (start, group) in digits.as_bytes().chunks(8).enumerate() {
        let mut bits = 0_u64;
        for (index, letter) in group.iter().enumerate() {
            let digit = BASE32.iter().position(|known| known == letter);
            let digit = digit.ok_or(start * 8 + index)?;
            bits |= u64::try_from(digit).unwrap_or_default() << (35 - 5 * index);
        }
        let bytes = bits.to_be_bytes();
        decoded.extend(bytes.iter().skip(3).take(group.len() * 5 / 8));
    }
    let is_whole = matches!(digits.len() % 8, 0 | 2 | 4 | 5 | 7);
    if is_whole && padding < 8 && text.len().is_multiple_of(8) {
        Ok(decoded)
    } else {
        Err(digits.len() / 8 * 8)
    }
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn hashes_and_encodings_agree_with_go() {
        check(r#"sha1sum "a""#, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        check(
            r#"sha256sum "a""#,
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        );
        check(r#"adler32sum "hello""#, "103547413");
        check(r#"b64enc "héllo""#, "aMOpbGxv");
        check(r#"b64dec "aMOpbGxv""#, "héllo");
        check(r#"b64dec "YR==""#, "a");
        check(r#"b64dec "YWJj\nZGVm""#, "abcdef");
        check(r#"b32enc "hello""#, "NBSWY3DP");
        check(r#"b32enc "a""#, "ME======");
        check(r#"b32enc "abcd""#, "MFRGGZA=");
        check(r#"b32enc """#, "");
        check(r#"b32dec "NBSWY3DP""#, "hello");
        check(r#"b32dec "ME======""#, "a");
    }

    #[test]
    fn what_cannot_be_decoded_gives_the_reason() {
        check(r#"b64dec "a""#, "illegal base64 data at input byte 0");
        check(r#"b64dec "!!!!""#, "illegal base64 data at input byte 0");
        check(r#"b64dec "YQ=""#, "illegal base64 data at input byte 3");
        check(r#"b64dec "YWI!""#, "illegal base64 data at input byte 3");
        check(r#"b64dec "YQ==x""#, "illegal base64 data at input byte 4");
        check(r#"b64dec "Y===""#, "illegal base64 data at input byte 1");
        check(r#"b32dec "a""#, "illegal base32 data at input byte 0");
        check(r#"b32dec "ME""#, "illegal base32 data at input byte 0");
        check(
            r#"b32dec "NBSWY3DPX""#,
            "illegal base32 data at input byte 8",
        );
    }
}
