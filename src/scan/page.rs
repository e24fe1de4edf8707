//! One page of a listing, read from JSON entry by entry: no list of them is made.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::egress::one_line;

/// Takes the entries of a page, in the order in which they were served.
pub(super) trait Entries {
    /// Takes one entry, which may be no tag by the grammar. Says whether there is room for another
    /// one.
    fn take(&mut self, entry: &str) -> bool;
}

/// Why a page cannot be read.
#[derive(Debug)]
pub(super) enum PageError {
    /// It holds more entries than a listing may have.
    TooMany,
    /// It ends before its end.
    Ends,
    /// It is something else; the text says what, on one line.
    NoPage(String),
}

/// Reads a page into `entries`.
pub(super) fn read(body: &[u8], entries: &mut impl Entries) -> Result<(), PageError> {
    let mut is_full = false;
    // All of it at once is checked faster than every string for itself.
    let body = std::str::from_utf8(body).map_err(|error| match error.error_len() {
        None => PageError::Ends,
        Some(_) => PageError::NoPage("it is no UTF-8".to_owned()),
    })?;
    let mut reader = serde_json::Deserializer::from_str(body);
    let seed = PageSeed {
        entries,
        is_full: &mut is_full,
    };
    let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
    match read {
        _ if is_full => Err(PageError::TooMany),
        Ok(()) => Ok(()),
        Err(error) if error.is_eof() => Err(PageError::Ends),
        Err(error) => Err(PageError::NoPage(one_line(error.to_string().as_bytes()))),
    }
}

/// Reads `{"name": …, "tags": […]}`.
struct PageSeed<'p, E> {
    entries: &'p mut E,
    is_full: &'p mut bool,
}

struct TagsSeed<'p, E> {
    entries: &'p mut E,
    is_full: &'p mut bool,
}

struct EntrySeed<'p, E>(&'p mut E);

impl<'de, E: Entries> DeserializeSeed<'de> for PageSeed<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Entries> Visitor<'de> for PageSeed<'_, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `tags`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key != "tags" {
                map.next_value::<IgnoredAny>()?;
            } else if found {
                return Err(A::Error::duplicate_field("tags"));
            } else {
                found = true;
                map.next_value_seed(TagsSeed {
                    entries: &mut *self.entries,
                    is_full: &mut *self.is_full,
                })?;
            }
        }
        if found {
            Ok(())
        } else {
            Err(A::Error::missing_field("tags"))
        }
    }
}

impl<'de, E: Entries> DeserializeSeed<'de> for TagsSeed<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Entries> Visitor<'de> for TagsSeed<'_, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of tags")
    }

    /// `null` is how registries written in Go say that the last tag was deleted.
    fn visit_unit<F>(self) -> Result<(), F> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(has_room) = entries.next_element_seed(EntrySeed(&mut *self.entries))? {
            if !has_room {
                *self.is_full = true;
                return Err(A::Error::custom("too many tags"));
            }
        }
        Ok(())
    }
}

impl<'de, E: Entries> DeserializeSeed<'de> for EntrySeed<'_, E> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<E: Entries> Visitor<'_> for EntrySeed<'_, E> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tag")
    }

    fn visit_str<F>(self, text: &str) -> Result<bool, F> {
        Ok(self.0.take(text))
    }
}
