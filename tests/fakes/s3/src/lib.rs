//! An S3 server in memory that does on command what a healthy one does not.
//!
//! ```text
//! let fake = Fake::start();
//! fake.script(Trouble::SlowDown, "PutObject", "out/7.json", 2);
//! ```
//!
//! Each trouble meets the next requests of one operation whose key holds a text, so many times. The
//! README says which of them real servers have, and why those are not made to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod http;
mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// 503, and nothing is done.
    SlowDown,
    /// 200, with an error in its body; nothing is done.
    ErrorInBody,
    /// 200 as if it had been done.
    Lie,
    /// It is done, and the connection ends without an answer.
    LostReply,
    /// The connection ends in the middle of the answer's body.
    CutBody,
}

/// A trouble that waits.
#[derive(Debug, Clone)]
struct Waiting {
    trouble: Trouble,
    operation: &'static str,
    key: String,
    times: usize,
}

/// What is stored, and what is to go wrong.
#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, Upload>,
    next: u64,
    waiting: Vec<Waiting>,
    struck: usize,
    ignores_conditions: bool,
    /// How long every answer takes.
    delay: Duration,
    under_way: usize,
    most_under_way: usize,
}

/// An object.
#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    etag: String,
    /// Over the parts' checksums, of one that came in parts.
    checksum: Option<String>,
}

/// An upload that is not over.
#[derive(Debug, Default)]
struct Upload {
    key: String,
    /// Content and CRC-32 of each.
    parts: BTreeMap<i32, (Bytes, u32)>,
}

/// A running server, gone when this is.
pub struct Fake {
    state: Shared,
    port: u16,
    _runtime: Runtime,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fake {
    /// The access key id it knows.
    pub const ACCESS_KEY: &'static str = "tester";
    /// Its secret.
    pub const SECRET_KEY: &'static str = "secret";

    /// Starts one, empty, on a free loopback port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Shared::default();
        let port = runtime.block_on(http::listen(state.clone()));
        Fake {
            state,
            port,
            _runtime: runtime,
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets something go wrong with the next requests of an operation (`PutObject`) whose key holds
    /// a text.
    pub fn script(&self, trouble: Trouble, operation: &'static str, key: &str, times: usize) {
        self.state.lock().waiting.push(Waiting {
            trouble,
            operation,
            key: key.to_owned(),
            times,
        });
    }

    /// From now on conditions are taken and not looked at.
    pub fn ignore_conditions(&self) {
        self.state.lock().ignores_conditions = true;
    }

    /// From now on every answer takes so long.
    pub fn take_your_time(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// How many requests were under way at once, at most.
    pub fn most_at_once(&self) -> usize {
        self.state.lock().most_under_way
    }

    /// How often something went wrong.
    pub fn struck(&self) -> usize {
        self.state.lock().struck
    }

    /// Puts an object; any bucket has it.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.state
            .lock()
            .store(key, Bytes::copy_from_slice(bytes), None);
    }

    /// The content of an object.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        let state = self.state.lock();
        state.objects.get(key).map(|stored| stored.bytes.clone())
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().objects.keys().cloned().collect()
    }

    /// How many uploads are not over.
    pub fn uploads(&self) -> usize {
        self.state.lock().uploads.len()
    }
}

impl State {
    /// A request comes; how long it takes.
    fn begin(&mut self) -> Duration {
        self.under_way += 1;
        self.most_under_way = self.most_under_way.max(self.under_way);
        self.delay
    }

    fn end(&mut self) {
        self.under_way -= 1;
    }

    fn store(&mut self, key: &str, bytes: Bytes, parts: Option<(usize, String)>) -> String {
        let hash = xxhash_rust::xxh3::xxh3_128(&bytes);
        let (suffix, checksum) = match parts {
            Some((count, checksum)) => (format!("-{count}"), Some(checksum)),
            None => (String::new(), None),
        };
        let etag = format!("{hash:032x}{suffix}");
        let stored = Stored {
            bytes,
            etag: etag.clone(),
            checksum,
        };
        self.objects.insert(key.to_owned(), stored);
        etag
    }

    /// What goes wrong with this request.
    fn trouble(&mut self, operation: &str, key: &str) -> Option<Trouble> {
        let meets = |waiting: &Waiting| {
            waiting.times > 0 && waiting.operation == operation && key.contains(&waiting.key)
        };
        let waiting = self.waiting.iter_mut().find(|waiting| meets(waiting))?;
        waiting.times -= 1;
        self.struck += 1;
        Some(waiting.trouble)
    }
}
