//! One server of a kind for many processes: whoever runs several test binaries keeps it, and it is
//! started when the first of them asks.
//!
//! They ask over a port on 127.0.0.1 that [`SERVERS`] names: a line with the kind, answered by a
//! line `ok` or `no` and what is to be known, separated by tabs. A port, because nothing stays of
//! it when its process is killed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::Cluster;
use crate::store::Store;

/// The variable that says where to ask for servers, as [`share`] sets it up: `127.0.0.1:port`.
pub const SERVERS: &str = "DKHOST_TEST_SERVERS";

/// A server that several tests use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Minio,
    Versitygw,
    Elasticsearch,
    OpenSearch,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Minio, "minio"),
    (Kind::Versitygw, "versitygw"),
    (Kind::Elasticsearch, "elasticsearch"),
    (Kind::OpenSearch, "opensearch"),
];

/// A server of some kind, and what those who use it have to know.
struct Running {
    /// Ends when this is dropped.
    _server: Box<dyn std::any::Any + Send>,
    known: Vec<String>,
}

/// The servers of one process, each started by the first who asks; they end with this.
#[derive(Clone, Default)]
struct Servers(Arc<[Mutex<Option<Running>>; KINDS.len()]>);

/// Servers for the processes that this one starts.
pub struct Shared {
    servers: Servers,
    address: String,
}

/// Listens for processes that ask for a server; give them [`Shared::variable`].
///
/// *Errors* – a sentence.
pub fn share() -> Result<Shared, String> {
    let failed = |cause: std::io::Error| format!("cannot listen on 127.0.0.1: {cause}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?.to_string();
    let servers = Servers::default();
    let own = servers.clone();
    std::thread::spawn(move || {
        for asked in listener.incoming().flatten() {
            let servers = own.clone();
            // One may take its time; who asks for another does not wait for it.
            std::thread::spawn(move || answer(&servers, asked));
        }
    });
    Ok(Shared { servers, address })
}

impl Shared {
    /// The variable's name and value.
    pub fn variable(&self) -> (&'static str, &str) {
        (SERVERS, &self.address)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread that listens has its own hold on them.
        for server in self.servers.0.iter() {
            drop(server.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// What is to be known of the server that this process's tests share; started on the first call,
/// here or by whoever started this process.
///
/// *Errors* – a sentence: what to install, or what the server wrote about itself.
pub(crate) fn server(kind: Kind) -> Result<Vec<String>, String> {
    static OWN: std::sync::OnceLock<Servers> = std::sync::OnceLock::new();
    match std::env::var(SERVERS) {
        Ok(address) => ask(&address, kind),
        Err(_) => OWN.get_or_init(Servers::default).get(kind),
    }
}

impl Servers {
    fn get(&self, kind: Kind) -> Result<Vec<String>, String> {
        let place = &self.0[kind as usize];
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*place {
            return Ok(running.known.clone());
        }
        let running = start(kind)?;
        Ok(place.insert(running).known.clone())
    }
}

fn start(kind: Kind) -> Result<Running, String> {
    let store = |store: Store| {
        let s3 = store.s3();
        Running {
            _server: Box::new(store),
            known: vec![s3.endpoint, s3.region, s3.access_key, s3.secret_key],
        }
    };
    let cluster = |cluster: Cluster| Running {
        known: vec![cluster.access().url.clone()],
        _server: Box::new(cluster),
    };
    match kind {
        Kind::Minio => Store::minio().map(store),
        Kind::Versitygw => Store::versitygw().map(store),
        Kind::Elasticsearch => Cluster::elasticsearch().map(cluster),
        Kind::OpenSearch => Cluster::opensearch().map(cluster),
    }
}

fn ask(address: &str, kind: Kind) -> Result<Vec<String>, String> {
    let failed = |cause: std::io::Error| {
        format!(
            "nobody keeps servers at {address}, as {SERVERS} says: {cause}\n  help: unset {SERVERS}"
        )
    };
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    let (_, name) = KINDS[kind as usize];
    writeln!(stream, "{name}").map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .map_err(failed)?;
    let mut words = answer
        .trim_end_matches('\n')
        .split('\t')
        .map(|word| word.replace('\u{1}', "\n"));
    match words.next().as_deref() {
        Some("ok") => Ok(words.collect()),
        Some("no") => Err(words.collect::<Vec<_>>().join(" ")),
        _ => Err(format!("whoever kept servers at {address} is gone")),
    }
}

fn answer(servers: &Servers, asked: TcpStream) {
    let mut name = String::new();
    if BufReader::new(&asked).read_line(&mut name).is_err() {
        return;
    }
    let kind = KINDS.iter().find(|(_, known)| *known == name.trim_end());
    let words = match kind {
        Some((kind, _)) => servers.get(*kind),
        None => Err(format!("there is no server `{}`", name.trim_end())),
    };
    let words = match words {
        Ok(known) => [vec!["ok".to_owned()], known].concat(),
        Err(why) => vec!["no".to_owned(), why.replace('\t', " ")],
    };
    // A sentence may have several lines, an answer one. Who has gone away needs none.
    let _ = writeln!(&asked, "{}", words.join("\t").replace('\n', "\u{1}"));
}

#[cfg(test)]
mod tests {
    use super::{KINDS, Kind, Servers, answer, ask};

    #[test]
    fn kinds_stand_in_their_own_order() {
        for (i, (kind, _)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, i);
        }
    }

    #[test]
    fn whoever_asks_is_told_in_whole_sentences() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let running = super::Running {
            _server: Box::new(()),
            known: vec!["http://h:1".to_owned(), String::new()],
        };
        let servers = Servers::default();
        *servers.0[Kind::Minio as usize].lock().unwrap() = Some(running);
        let thread = std::thread::spawn(move || answer(&servers, listener.accept().unwrap().0));
        assert_eq!(ask(&address, Kind::Minio).unwrap(), ["http://h:1", ""]);
        thread.join().unwrap();
        let why = ask(&address, Kind::Minio).unwrap_err();
        assert!(why.contains("unset DKHOST_TEST_SERVERS"), "{why}");
    }
}
