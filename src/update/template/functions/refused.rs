//! Functions that Sprig has and a commit message may not use.

const DIFFERS: &str = "it would make commits differ between runs";
const SECRET: &str = "a commit message is no place for secrets";
const ZONE: &str = "it depends on the clock or the time zone of the machine";
const MACHINE: &str = "it depends on the machine that renders the message";
const CALL: &str = "there is no value that could be called";

const REFUSED: &[(&str, &str)] = &[
    ("ago", DIFFERS),
    ("bcrypt", DIFFERS),
    ("buildCustomCert", SECRET),
    ("call", CALL),
    ("date", ZONE),
    ("dateInZone", ZONE),
    ("dateModify", ZONE),
    ("date_in_zone", ZONE),
    ("date_modify", ZONE),
    ("decryptAES", SECRET),
    ("derivePassword", SECRET),
    ("encryptAES", DIFFERS),
    ("env", MACHINE),
    ("expandenv", MACHINE),
    ("genCA", DIFFERS),
    ("genCAWithKey", DIFFERS),
    ("genPrivateKey", DIFFERS),
    ("genSelfSignedCert", DIFFERS),
    ("genSelfSignedCertWithKey", DIFFERS),
    ("genSignedCert", DIFFERS),
    ("genSignedCertWithKey", DIFFERS),
    ("getHostByName", MACHINE),
    ("htmlDate", ZONE),
    ("htmlDateInZone", ZONE),
    ("htpasswd", DIFFERS),
    ("mustDateModify", ZONE),
    ("mustToDate", ZONE),
    ("must_date_modify", ZONE),
    ("now", ZONE),
    ("randAlpha", DIFFERS),
    ("randAlphaNum", DIFFERS),
    ("randAscii", DIFFERS),
    ("randBytes", DIFFERS),
    ("randInt", DIFFERS),
    ("randNumeric", DIFFERS),
    ("shuffle", DIFFERS),
    ("toDate", ZONE),
    ("unixEpoch", ZONE),
    ("uuidv4", DIFFERS),
];

/// Every name that is refused.
#[cfg(test)]
pub(in crate::update::template) fn names() -> Vec<&'static str> {
    REFUSED.iter().map(|(name, _)| *name).collect()
}

/// The name and the reason, where the function is one of these.
pub(super) fn reason(name: &str) -> Option<(&'static str, &'static str)> {
    REFUSED
        .iter()
        .copied()
        .find(|(refused, _)| *refused == name)
}
