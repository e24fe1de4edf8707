//! One page of a listing, read from JSON.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::{egress::one_line, image::Tag};

/// The tags of one page, as they were served.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) tags: Vec<Tag>,
    /// How many entries are no tags by the grammar.
    pub(super) refused: usize,
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

impl Page {
    /// Reads a page of at most `most` entries.
    pub(super) fn read(body: &[u8], most: usize) -> Result<Self, PageError> {
        let mut page = Self::default();
        let mut reader = serde_json::Deserializer::from_slice(body);
        let seed = PageSeed {
            page: &mut page,
            most,
        };
        let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
        match read {
            _ if page.tags.len() + page.refused > most => Err(PageError::TooMany),
            Ok(()) => Ok(page),
            Err(error) if error.is_eof() => Err(PageError::Ends),
            Err(error) => Err(PageError::NoPage(one_line(error.to_string().as_bytes()))),
        }
    }
}

/// Reads `{"name": …, "tags": […]}` without a copy of the list: tags are made as they are read.
struct PageSeed<'p> {
    page: &'p mut Page,
    most: usize,
}

struct TagsSeed<'p> {
    page: &'p mut Page,
    most: usize,
}

struct EntrySeed<'p>(&'p mut Page);

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
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
                    page: &mut *self.page,
                    most: self.most,
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

impl<'de> DeserializeSeed<'de> for TagsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TagsSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of tags")
    }

    /// `null` is how registries written in Go say that the last tag was deleted.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_element_seed(EntrySeed(self.page))?.is_some() {
            if self.page.tags.len() + self.page.refused > self.most {
                return Err(A::Error::custom("too many tags"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for EntrySeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tag")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match text.parse() {
            Ok(tag) => self.0.tags.push(tag),
            Err(_) => self.0.refused += 1,
        }
        Ok(())
    }
}
