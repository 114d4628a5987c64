//! A TCP proxy for tests of lost connections: it stands between a client and a server and cuts,
//! delays, swallows or changes what passes, at a byte or at a word.
//!
//! It knows no protocol: what passes is bytes in two directions, so that it serves PostgreSQL as
//! well as HTTP. A [`Rule`] says where something happens and what:
//!
//! ```no_run
//! use dkhost_proxy::{Act, Proxy, Rule, Way};
//!
//! let proxy = Proxy::start("127.0.0.1:5432").unwrap();
//! // The server hears COMMIT, the client never hears that it was done.
//! proxy.set(Rule::when(Way::ToServer, b"COMMIT").then(Act::DropReplies));
//! // … the client connects to proxy.port() …
//! assert_eq!(proxy.struck(), 1);
//! ```
//!
//! A rule strikes once, on the first connection on which its place is reached, unless it is to
//! strike [`always`](Rule::always). A pattern is found wherever reads happen to split it. A cut is a
//! reset (RST), as when a machine or a firewall vanishes, unless it is [`Act::Close`].

mod flow;
mod rule;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

pub use rule::{Act, Rule, Way};

/// A proxy on a free loopback port; gone, with its connections, when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What the threads of all connections see.
pub(crate) struct Shared {
    server: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    connections: AtomicUsize,
    open: Mutex<Vec<Arc<flow::Gate>>>,
    struck: AtomicUsize,
    refuses: AtomicBool,
    over: AtomicBool,
}

impl Proxy {
    /// Starts a proxy before `server` (`127.0.0.1:5432`), which lets everything pass.
    ///
    /// *Errors* – if the address cannot be resolved or no port is free.
    pub fn start(server: impl ToSocketAddrs) -> io::Result<Self> {
        let server = server.to_socket_addrs()?.next();
        let server = server.ok_or_else(|| io::Error::other("the server's address is empty"))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            rules: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            struck: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if of_thread.over.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    serve(&of_thread, client);
                }
            }
        });
        Ok(Proxy { shared, address })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets the one rule, in place of those before; for open connections too, whose bytes are
    /// counted from their beginning.
    pub fn set(&self, rule: Rule) {
        *locked(&self.shared.rules) = vec![rule];
    }

    /// Adds a rule; of several that are reached with the same byte the first strikes.
    pub fn add(&self, rule: Rule) {
        locked(&self.shared.rules).push(rule);
    }

    /// Lets everything pass again. What was swallowed stays swallowed.
    pub fn clear(&self) {
        locked(&self.shared.rules).clear();
    }

    /// Whether new connections are reset at once; those that are open stay.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Resets every open connection.
    pub fn cut_all(&self) {
        for gate in locked(&self.shared.open).drain(..) {
            gate.end(true);
        }
    }

    /// How many connections there were, refused ones included.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often a rule has struck.
    pub fn struck(&self) -> usize {
        self.shared.struck.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        self.cut_all();
    }
}

impl Shared {
    /// The act of the first rule that this piece of a flow reaches, and at which byte of the piece.
    ///
    /// `before` is the end of what passed earlier, `passed` how many bytes that were in all.
    pub(crate) fn strikes(
        &self,
        way: Way,
        before: &[u8],
        passed: u64,
        piece: &[u8],
    ) -> Option<(usize, Act)> {
        let mut rules = locked(&self.rules);
        let reached = rules.iter().enumerate().filter_map(|(index, rule)| {
            let at = rule.reached(way, before, passed, piece)?;
            Some((at, index))
        });
        let (at, index) = reached.min()?;
        self.struck.fetch_add(1, Ordering::SeqCst);
        let act = rules[index].act;
        if !rules[index].always {
            rules.remove(index);
        }
        Some((at, act))
    }

    /// The longest pattern, less one: as much of what passed a search has to see again.
    pub(crate) fn overlap(&self) -> usize {
        let rules = locked(&self.rules);
        rules.iter().map(Rule::overlap).max().unwrap_or(0)
    }
}

/// Joins a client with the server by two threads.
fn serve(shared: &Arc<Shared>, client: TcpStream) {
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let server = match shared.refuses.load(Ordering::SeqCst) {
        true => Err(io::ErrorKind::ConnectionRefused.into()),
        false => TcpStream::connect(shared.server),
    };
    let Ok((gate, there, back)) = server.and_then(|server| flow::join(&client, &server)) else {
        flow::will_reset(&client);
        return;
    };
    let gate = Arc::new(gate);
    locked(&shared.open).push(Arc::clone(&gate));
    for (way, (from, to)) in [(Way::ToServer, there), (Way::ToClient, back)] {
        let (shared, gate) = (Arc::clone(shared), Arc::clone(&gate));
        thread::spawn(move || flow::run(&shared, &gate, way, from, to));
    }
}

/// A lock whose holder panicked is still a lock: the test has failed anyway.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
