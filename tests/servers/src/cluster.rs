//! Elasticsearch and OpenSearch of one's own, one node each, run as an ordinary user.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::indices::{Access, Indices};
use crate::java;
use crate::kept::Kept;
use crate::process::{Plan, Process, folder};
use crate::programs;
use crate::store::random;
use crate::tools;

/// Enough heap for what tests put there, and little beside the rest. Compiled only as far as is
/// done quickly, either server is there after a third of the work.
const QUICK: &str = "-Xms384m -Xmx384m -XX:TieredStopAtLevel=1";

/// An Elasticsearch or OpenSearch of one's own.
pub struct Cluster {
    /// To stop, pause and start it again.
    pub process: Process,
    access: Access,
}

impl Cluster {
    /// Starts an Elasticsearch that lets everybody do everything.
    ///
    /// *Errors* – a sentence: what to install, or what the server wrote about itself.
    pub fn elasticsearch() -> Result<Self, String> {
        Self::start(Elasticsearch {
            home: java::elasticsearch()?,
            java: java::jdk()?,
            name: fresh_name(),
            options: QUICK.to_owned(),
            security: None,
        })
    }

    /// As [`Cluster::elasticsearch`], with a heap of so many MiB and all that Java does to be fast
    /// in the long run, for who measures.
    ///
    /// *Errors* – as [`Cluster::elasticsearch`].
    pub fn fast_elasticsearch(heap_mib: u32) -> Result<Self, String> {
        Self::start(Elasticsearch {
            home: java::elasticsearch()?,
            java: java::jdk()?,
            name: fresh_name(),
            options: format!("-Xms{heap_mib}m -Xmx{heap_mib}m"),
            security: None,
        })
    }

    /// Starts an Elasticsearch that speaks TLS, with a certificate of this authority for 127.0.0.1
    /// and localhost, and knows the user `elastic` with a password.
    ///
    /// *Errors* – as [`Cluster::elasticsearch`].
    #[cfg(feature = "certificates")]
    pub fn secured(authority: &crate::Authority) -> Result<Self, String> {
        let server = authority.server(&["127.0.0.1", "localhost"]);
        Self::start(Elasticsearch {
            home: java::elasticsearch()?,
            java: java::jdk()?,
            name: fresh_name(),
            options: QUICK.to_owned(),
            security: Some(Security {
                password: format!("secret-{:016x}", random()),
                authority: authority.pem(),
                certificate: server.certificate,
                key: server.key,
            }),
        })
    }

    /// Starts an OpenSearch that lets everybody do everything.
    ///
    /// *Errors* – as [`Cluster::elasticsearch`].
    pub fn opensearch() -> Result<Self, String> {
        Self::start(OpenSearch {
            home: java::opensearch()?,
            java: java::jdk()?,
            name: fresh_name(),
        })
    }

    /// Where it is, and who may do everything.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Names for indices that nothing else has.
    pub fn indices(&self) -> Indices {
        self.access.indices()
    }

    fn start(plan: impl Node + 'static) -> Result<Self, String> {
        let access = plan.access();
        let process = Process::start(Box::new(plan))?;
        let access = at(&access, process.port());
        Ok(Cluster { process, access })
    }
}

/// A server that is asked as Elasticsearch is.
trait Node: Plan {
    /// How it is asked, but for the port.
    fn access(&self) -> Access;
}

/// What makes an Elasticsearch ask who one is; all of it PEM but the password.
#[cfg_attr(
    not(feature = "certificates"),
    allow(dead_code, reason = "there are none to be had then")
)]
struct Security {
    password: String,
    authority: String,
    certificate: String,
    key: String,
}

struct Elasticsearch {
    home: PathBuf,
    java: PathBuf,
    /// Of the cluster, by which its answers are known.
    name: String,
    /// Of the Java that it runs on.
    options: String,
    security: Option<Security>,
}

impl Node for Elasticsearch {
    fn access(&self) -> Access {
        match &self.security {
            None => Access::of("http://127.0.0.1"),
            Some(security) => Access {
                url: "https://127.0.0.1".to_owned(),
                user: Some(("elastic".to_owned(), security.password.clone())),
                authority: Some(security.authority.clone()),
            },
        }
    }
}

impl Plan for Elasticsearch {
    fn names(&self) -> (&'static str, &'static str) {
        ("Elasticsearch", "es")
    }

    fn words(&self, kept: &Kept, ports: [u16; 2]) -> Result<Vec<String>, String> {
        let home = reachable(kept, &self.home)?;
        let settings = kept.folder.join("settings");
        if !settings.is_dir() {
            let from = self.home.join("config");
            copy("-r", &from, &settings)?;
            // It keeps its passwords there.
            tools::run(
                Command::new("chmod").arg("0777").arg(&settings),
                "this is a defect of the tests",
            )?;
        }
        let files = self.security.iter().flat_map(|security| {
            let Security {
                authority,
                certificate,
                key,
                ..
            } = security;
            [
                ("ca.pem", authority),
                ("server.pem", certificate),
                ("server.key", key),
            ]
        });
        let own = self.settings(kept, ports)?;
        for (name, content) in files.chain([("elasticsearch.yml", &own)]) {
            let path = settings.join(name);
            std::fs::write(&path, content)
                .map_err(|cause| format!("cannot write {}: {cause}", path.display()))?;
        }
        let mut words = self.environment(kept)?;
        words.push(format!("ES_JAVA_OPTS={}", self.options));
        words.push("CLI_JAVA_OPTS=-XX:TieredStopAtLevel=1".to_owned());
        words.push(home.join("bin/elasticsearch").display().to_string());
        Ok(words)
    }

    fn init(&self, kept: &Kept) -> Option<Vec<String>> {
        let security = self.security.as_ref()?;
        let mut words = self.environment(kept).ok()?;
        let home = reachable(kept, &self.home).ok()?;
        let add = r#"printf %s "$1" | exec "$2" add -x -f bootstrap.password"#;
        words.extend(["sh", "-c", add, "sh"].map(str::to_owned));
        words.push(security.password.clone());
        words.push(
            home.join("bin/elasticsearch-keystore")
                .display()
                .to_string(),
        );
        Some(words)
    }

    fn ready(&self, port: u16) -> Result<(), String> {
        answers(&at(&self.access(), port), &self.name)
    }
}

impl Elasticsearch {
    /// The words before a program of it.
    fn environment(&self, kept: &Kept) -> Result<Vec<String>, String> {
        let mut words = programs::as_leader(true);
        words.extend([
            "env".to_owned(),
            format!("HOME={}", kept.folder.display()),
            format!("ES_JAVA_HOME={}", self.java.display()),
            format!("ES_PATH_CONF={}/settings", kept.folder.display()),
            format!("ES_TMPDIR={}", folder(kept, "tmp")?),
        ]);
        Ok(words)
    }

    /// The file `elasticsearch.yml`.
    fn settings(&self, kept: &Kept, ports: [u16; 2]) -> Result<String, String> {
        let (data, logs) = (folder(kept, "data/es")?, folder(kept, "logs")?);
        let mut text = format!(
            "cluster.name: {}\nnode.name: one\npath.data: {data}\npath.logs: {logs}\n\
             network.host: 127.0.0.1\nhttp.port: {}\ntransport.port: {}\n\
             discovery.type: single-node\ncluster.max_shards_per_node: 5000\n\
             cluster.routing.allocation.disk.threshold_enabled: false\n\
             xpack.security.autoconfiguration.enabled: false\nxpack.security.enabled: {}\n",
            self.name,
            ports[0],
            ports[1],
            self.security.is_some(),
        );
        if self.security.is_some() {
            let http = "xpack.security.http.ssl";
            let _ = write!(
                text,
                "xpack.security.transport.ssl.enabled: false\n{http}.enabled: true\n\
                 {http}.key: server.key\n{http}.certificate: server.pem\n\
                 {http}.certificate_authorities: ca.pem\n"
            );
        }
        Ok(text)
    }
}

struct OpenSearch {
    home: PathBuf,
    java: PathBuf,
    name: String,
}

impl Node for OpenSearch {
    fn access(&self) -> Access {
        Access::of("http://127.0.0.1")
    }
}

impl Plan for OpenSearch {
    fn names(&self) -> (&'static str, &'static str) {
        ("OpenSearch", "os")
    }

    fn words(&self, kept: &Kept, ports: [u16; 2]) -> Result<Vec<String>, String> {
        let home = reachable(kept, &self.home)?.display().to_string();
        let (data, tmp) = (folder(kept, "data/os")?, folder(kept, "tmp")?);
        let mut words = programs::as_leader(true);
        words.extend(["env".to_owned(), format!("HOME={}", kept.folder.display())]);
        words.push(self.java.join("bin/java").display().to_string());
        words.extend(QUICK.split(' ').map(str::to_owned));
        words.push(format!("-Djava.io.tmpdir={tmp}"));
        // Java 17 warns of what later ones refuse unless it is allowed.
        words.push("-Djava.security.manager=allow".to_owned());
        words.extend(["-cp".to_owned(), format!("{home}/lib/*:{home}/classes")]);
        words.extend(["Launcher".to_owned(), self.name.clone()]);
        words.extend(ports.map(|port| port.to_string()));
        words.push(data);
        Ok(words)
    }

    fn ready(&self, port: u16) -> Result<(), String> {
        answers(&at(&self.access(), port), &self.name)
    }
}

fn fresh_name() -> String {
    format!("dkhost-{:016x}", random())
}

/// Whether the cluster of this name answers.
fn answers(access: &Access, name: &str) -> Result<(), String> {
    let health = access.must("GET", "/_cluster/health", "")?;
    match health.contains(name) {
        true => Ok(()),
        false => Err(format!("another cluster answers: {health}")),
    }
}

/// The same access at a port of 127.0.0.1.
fn at(access: &Access, port: u16) -> Access {
    Access {
        url: format!("{}:{port}", access.url),
        ..access.clone()
    }
}

/// A kept tool where the ordinary user finds it: as it is, or for root, into whose folders nobody
/// else may look, beside the data; as links to the same files where the disk is the same.
fn reachable(kept: &Kept, tool: &Path) -> Result<PathBuf, String> {
    if !programs::is_root() {
        return Ok(tool.to_owned());
    }
    let there = kept.folder.join("program");
    if !there.is_dir() && copy("-rl", tool, &there).is_err() {
        let _ = std::fs::remove_dir_all(&there);
        copy("-r", tool, &there)?;
    }
    Ok(there)
}

fn copy(how: &str, from: &Path, to: &Path) -> Result<(), String> {
    let mut copy = Command::new("cp");
    tools::run(
        copy.arg(how).arg(from).arg(to),
        "make room on the disk of the temporary folder",
    )
}
