//! A strict Elasticsearch in memory that misbehaves when it is told to.
//!
//! A real server cannot be made to lose a reply, to answer half of a list or to refuse one document
//! of a bulk for now. This one can, and is otherwise as strict as the real one where it matters to a
//! client: media types, line ends, sequence numbers, aliases that must be there, parameters nobody
//! knows. What it says and what no real server can be made to do is in the README beside this crate.
//!
//! ```text
//! let fake = Fake::start();
//! fake.next("POST", "_bulk", Fault::Items(vec![(1, 429)]));     the second item of the next bulk
//! … a client at fake.url() …
//! fake.documents("movies")                                      what is there in the end
//! fake.seen()                                                   what was asked for
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it serves tests"
)]

mod bulk;
mod indices;
mod script;
mod search;
mod serve;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

pub use script::{Fault, Seen};

use indices::Indices;
use script::Script;

/// A server on a free loopback port, gone when dropped.
pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    // Ends every connection when dropped.
    _runtime: tokio::runtime::Runtime,
}

/// What requests see.
struct Shared {
    indices: Mutex<Indices>,
    script: Mutex<Script>,
    /// How many held requests may go on.
    released: tokio::sync::Semaphore,
}

impl Shared {
    fn indices(&self) -> MutexGuard<'_, Indices> {
        self.indices.lock().unwrap()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

impl Fake {
    /// A server without any index.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            indices: Mutex::default(),
            script: Mutex::default(),
            released: tokio::sync::Semaphore::new(0),
        });
        runtime.spawn(wire::accept(listener, Arc::clone(&shared)));
        Fake {
            address,
            shared,
            _runtime: runtime,
        }
    }

    /// Where it is: `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request of this method whose path ends in `path` meets this fault; several are met
    /// one after the other.
    pub fn next(&self, method: &str, path: &str, fault: Fault) {
        self.shared.script().add(method, path, fault, false);
    }

    /// Every such request from now on, unless one is planned for it alone.
    pub fn always(&self, method: &str, path: &str, fault: Fault) {
        self.shared.script().add(method, path, fault, true);
    }

    /// No faults any more.
    pub fn behave(&self) {
        self.shared.script().clear();
    }

    /// Whether a planned fault was not met yet.
    pub fn is_waiting(&self) -> bool {
        self.shared.script().is_waiting()
    }

    /// Lets one held request go on, or the next that will be held.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// Lets in only who has this key (what the server calls `encoded`).
    pub fn require_api_key(&self, key: &str) {
        self.shared.script().key = Some(key.to_owned());
    }

    /// Answers 413 to bodies of more bytes than that, as they are after unpacking.
    pub fn limit(&self, bytes: usize) {
        self.shared.script().limit = Some(bytes);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.script().seen.clone()
    }

    /// The bulks among them.
    pub fn bulks(&self) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|one| one.path.ends_with("/_bulk"));
        seen
    }

    /// What an index, or the index of an alias, holds: texts by id, refreshed or not.
    pub fn documents(&self, name: &str) -> BTreeMap<String, String> {
        self.shared.indices().texts(name)
    }

    /// A setting of an index, such as `refresh_interval`; `None` where it is not set.
    pub fn setting(&self, name: &str, setting: &str) -> Option<String> {
        self.shared.indices().setting(name, setting)
    }

    /// Names of all indices and aliases.
    pub fn names(&self) -> Vec<String> {
        self.shared.indices().names()
    }

    /// Puts a document as somebody else would; creates the index.
    pub fn put(&self, index: &str, id: &str, text: &str) {
        self.shared.indices().put_plain(index, id, text);
    }

    /// Forgets all points in time and scrolls, as a server does that was restarted.
    pub fn forget_moments(&self) {
        self.shared.indices().moments.clear();
    }
}
