//! MinIO and versitygw: two S3 servers, because each hides what the other shows.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::bucket::{Bucket, S3};
use crate::go;
use crate::kept::Kept;
use crate::process::{Plan, Process, folder};
use crate::programs;

const REGION: &str = "us-east-1";

/// An S3 server of one's own.
pub struct Store {
    /// To stop, pause and start it again.
    pub process: Process,
    keys: Keys,
}

/// Who may do everything.
#[derive(Clone)]
struct Keys {
    access: String,
    secret: String,
}

impl Store {
    /// Starts MinIO.
    ///
    /// *Errors* – a sentence: what to install, or what the server wrote about itself.
    pub fn minio() -> Result<Self, String> {
        let program = go::minio()?.display().to_string();
        let keys = Keys::new();
        let plan = Minio {
            program,
            keys: keys.clone(),
        };
        let process = Process::start(Box::new(plan))?;
        Ok(Store { process, keys })
    }

    /// Starts versitygw, over a folder.
    ///
    /// *Errors* – as [`Store::minio`].
    pub fn versitygw() -> Result<Self, String> {
        let program = go::versitygw()?.display().to_string();
        let keys = Keys::new();
        let plan = Versitygw {
            program,
            keys: keys.clone(),
        };
        let process = Process::start(Box::new(plan))?;
        Ok(Store { process, keys })
    }

    /// Where it is, and its keys.
    pub fn s3(&self) -> S3 {
        self.keys.at(self.process.port())
    }

    /// A fresh, empty bucket.
    ///
    /// *Errors* – a sentence with what the server said.
    pub fn bucket(&self) -> Result<Bucket, String> {
        self.s3().bucket()
    }
}

impl Keys {
    /// Another process's server on the same port must not take this one's requests for its own.
    fn new() -> Self {
        Keys {
            access: "tester".to_owned(),
            secret: format!("secret-{:016x}", random()),
        }
    }

    fn at(&self, port: u16) -> S3 {
        S3 {
            endpoint: format!("http://127.0.0.1:{port}"),
            region: REGION.to_owned(),
            access_key: self.access.clone(),
            secret_key: self.secret.clone(),
        }
    }
}

struct Minio {
    program: String,
    keys: Keys,
}

impl Plan for Minio {
    fn names(&self) -> (&'static str, &'static str) {
        ("MinIO", "minio")
    }

    fn words(&self, kept: &Kept, ports: [u16; 2]) -> Result<Vec<String>, String> {
        let data = folder(kept, "data/objects")?;
        let certificates = folder(kept, "data/certificates")?;
        let mut words = programs::as_leader(false);
        words.extend([
            "env".to_owned(),
            format!("HOME={}", kept.folder.display()),
            format!("MINIO_ROOT_USER={}", self.keys.access),
            format!("MINIO_ROOT_PASSWORD={}", self.keys.secret),
            format!("MINIO_SITE_REGION={REGION}"),
        ]);
        let off = ["MINIO_BROWSER", "MINIO_UPDATE", "MINIO_CALLHOME_ENABLE"];
        words.extend(off.map(|name| format!("{name}=off")));
        words.push(self.program.clone());
        let arguments = ["server", "--quiet", "--anonymous", "--address"];
        words.extend(arguments.map(str::to_owned));
        words.push(format!("127.0.0.1:{}", ports[0]));
        words.extend(["--certs-dir".to_owned(), certificates, data]);
        Ok(words)
    }

    fn ready(&self, port: u16) -> Result<(), String> {
        // The path by which it says that it is ready speaks too early.
        self.keys.at(port).answers()
    }
}

struct Versitygw {
    program: String,
    keys: Keys,
}

impl Plan for Versitygw {
    fn names(&self) -> (&'static str, &'static str) {
        ("versitygw", "vgw")
    }

    fn words(&self, kept: &Kept, ports: [u16; 2]) -> Result<Vec<String>, String> {
        let mut words = programs::as_leader(false);
        words.extend([
            "env".to_owned(),
            format!("HOME={}", kept.folder.display()),
            format!("ROOT_ACCESS_KEY={}", self.keys.access),
            format!("ROOT_SECRET_KEY={}", self.keys.secret),
            self.program.clone(),
            "--port".to_owned(),
            format!("127.0.0.1:{}", ports[0]),
        ]);
        let arguments = ["--region", REGION, "--quiet", "--keep-alive", "--iam-dir"];
        words.extend(arguments.map(str::to_owned));
        words.push(folder(kept, "data/iam")?);
        words.extend(["posix", "--versioning-dir"].map(str::to_owned));
        words.push(folder(kept, "data/versions")?);
        words.push(folder(kept, "data/objects")?);
        Ok(words)
    }

    fn ready(&self, port: u16) -> Result<(), String> {
        self.keys.at(port).answers()
    }
}

/// The standard library's own source of it.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
