//! What does not fit into a partition's document: texts in pages, each a document of its own.
//!
//! A server takes requests up to a size (`http.max_content_length`, 100 MB; 10 MB at some who rent
//! them out), and documents that are about to be replaced may be larger together. Their text is cut
//! into pages without regard to what is in it. No page is ever changed and no name used twice, so that
//! a request that comes late does no harm; a page that no partition names is swept when the run
//! is retired.

use std::sync::atomic::{AtomicU64, Ordering};

use dkhost_core::{Error, Result};
use serde::Deserialize;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use super::{On, Part, Put, Store};
use crate::target::Held;
use crate::target::intent::Intent;

/// Bytes of a page at the most. Escaped as JSON text they may become twice as many, which is still
/// below what any server is known to take.
pub(in crate::target) const PAGE_BYTES: usize = 4 << 20;

/// A server that takes no body of this size takes no documents either.
const PAGE_LEAST: usize = 1 << 10;

/// Makes names unlike each other in one process; run and epoch make them unlike another's.
static NUMBER: AtomicU64 = AtomicU64::new(0);

#[derive(Deserialize)]
struct Page {
    text: String,
}

impl Store {
    fn owner_of_pages(&self) -> String {
        format!("{}-pages", self.key)
    }

    /// Writes an intent down in as many pages as it takes, and says what they are called.
    pub fn put_pages(&self, of: &Held, partition: u32, intent: &Intent) -> Result<Vec<String>> {
        let mut text = Vec::new();
        intent.write(&mut text);
        let text = String::from_utf8(text)
            .map_err(|cause| Error::bug("an intent is no text").caused_by(cause))?;
        let (mut names, mut rest) = (Vec::new(), text.as_str());
        while !rest.is_empty() {
            let page = head(rest, self.page_bytes.load(Ordering::Relaxed));
            match self.put_page(of, partition, page) {
                Ok(name) => {
                    names.push(name);
                    rest = &rest[page.len()..];
                }
                Err(error) if is_too_large(&error) && page.len() > PAGE_LEAST => {
                    self.page_bytes.store(page.len() / 2, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    fn put_page(&self, of: &Held, partition: u32, text: &str) -> Result<String> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (key, run, epoch) = (&self.key, xxh3_64(of.run.as_bytes()), of.epoch);
        let name = format!("{key}-{partition}-{run:x}-{epoch}-{number}-page");
        let body = json!({"owner": self.owner_of_pages(), "stamp": name, "text": text});
        let body = body.to_string().into_bytes();
        match self.index.put(&name, body, &name, On::Nothing)? {
            Put::Done(_) => Ok(name),
            Put::Overtaken => Err(self.corrupt("a page of it is there already")),
        }
    }

    /// Gives everything a partition was about to write to `each`, the last first: what is beside its
    /// pages, then what is in them.
    ///
    /// *Errors* – `state::corrupt`, and those of `each`.
    pub fn intents(&self, part: &Part, each: impl Fn(&Intent) -> Result<()>) -> Result<()> {
        part.intent.iter().try_for_each(&each)?;
        for names in part.pages.iter().rev() {
            let mut text = String::new();
            for name in names {
                let page = self.index.read(name)?;
                let (page, _) = page.ok_or_else(|| self.corrupt("a page of it is gone"))?;
                let page: Page = serde_json::from_str(&page)
                    .map_err(|cause| self.corrupt("a page of it is none").caused_by(cause))?;
                text.push_str(&page.text);
            }
            let intent: Intent = serde_json::from_str(&text).map_err(|cause| {
                self.corrupt("what it was about to write cannot be read")
                    .caused_by(cause)
            })?;
            each(&intent)?;
        }
        Ok(())
    }

    /// Deletes pages that nobody names any more.
    pub fn forget_pages<'n>(&self, names: impl IntoIterator<Item = &'n String>) -> Result<()> {
        names
            .into_iter()
            .try_for_each(|name| self.index.delete(name, None))
    }

    /// Deletes what processes left that were killed.
    pub fn sweep_pages(&self) -> Result<()> {
        self.forget_pages(&self.index.ids_of(&self.owner_of_pages())?)
    }
}

/// Whether a server said that a request is larger than it takes.
pub(in crate::target) fn is_too_large(error: &Error) -> bool {
    error.code() == "elasticsearch::too_large"
}

/// The beginning of a text, of at most so many bytes but at least a character.
fn head(text: &str, bytes: usize) -> &str {
    let least = text.chars().next().map_or(0, char::len_utf8);
    &text[..text.floor_char_boundary(bytes).max(least)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(head("a€b", 1), "a");
        assert_eq!(head("a€b", 3), "a");
        assert_eq!(head("a€b", 4), "a€");
        assert_eq!(head("€", 1), "€");
        assert_eq!(head("ab", 9), "ab");
    }
}
