//! Bytes of objects that will be read soon, asked for before they are: many at once, where readers
//! go from one object to the next.
//!
//! What nobody fetches in the end is dropped after a while; what does not fit is not asked for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dkhost_core::{Error, Result};
use dkhost_file::identity::{Identity, Mark};
use tokio::task::JoinHandle;

use super::fetch::{Content, ask};
use crate::client::Client;

/// Bytes that are on their way or wait at most, for all readers of a source together.
const BYTES_MAX: u64 = 8 << 20;

/// Requests whose answers are on their way or wait at most.
const REQUESTS_MAX: usize = 64;

/// Answers that nobody wanted for so long are dropped.
const STALE: Duration = Duration::from_secs(60);

/// What was asked for.
#[derive(Default)]
pub(super) struct Ahead(Mutex<HashMap<Wanted, Asked>>);

/// Key and ETag of an object, and which bytes of it.
type Wanted = (String, String, u64, u64);

struct Asked {
    since: Instant,
    answer: JoinHandle<Result<Option<Content>>>,
}

impl Ahead {
    /// Asks for bytes of objects, as far as there is room.
    pub(super) fn ask(&self, client: &Client, soon: &[(&Identity, u64, u64)]) {
        let mut asked = self.lock();
        asked.retain(|_, asked| {
            let is_fresh = asked.since.elapsed() < STALE;
            if !is_fresh {
                asked.answer.abort();
            }
            is_fresh
        });
        let mut bytes: u64 = asked.keys().map(|(.., from, to)| to - from).sum();
        for (file, from, to) in soon {
            let wanted = wanted(file, *from, *to);
            if from >= to || asked.contains_key(&wanted) {
                continue;
            }
            bytes += to - from;
            if bytes > BYTES_MAX || asked.len() >= REQUESTS_MAX {
                return;
            }
            let answer = ask(client, &file.file, Some(&wanted.1), Some((*from, *to)));
            let since = Instant::now();
            asked.insert(wanted, Asked { since, answer });
        }
    }

    /// The bytes, if they were asked for and came.
    ///
    /// *Errors* – what asking again would not mend: `source::changed`.
    pub(super) fn take(
        &self,
        client: &Client,
        file: &Identity,
        from: u64,
        to: u64,
    ) -> Result<Option<Bytes>> {
        let asked = self.lock().remove(&wanted(file, from, to));
        let Some(asked) = asked else { return Ok(None) };
        let answer = client
            .wait(asked.answer)
            .map_err(|cause| Error::bug("a request ended badly").caused_by(cause))?;
        match answer {
            Ok(content) => Ok(content.map(|content| content.bytes)),
            Err(error) if error.class().is_retryable() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Wanted, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.lock().values().for_each(|asked| asked.answer.abort());
    }
}

fn wanted(file: &Identity, from: u64, to: u64) -> Wanted {
    let etag = match &file.mark {
        Mark::Elsewhere { etag, .. } => etag.clone(),
        Mark::Disk(_) => String::new(),
    };
    (file.file.clone(), etag, from, to)
}
