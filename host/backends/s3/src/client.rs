//! Requests to one bucket, asked from threads that wait for their answers.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_sdk_s3::Client as Sdk;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use dkhost_core::{Error, Result};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::fault::fault;
use crate::server::{Server, Who};
use crate::tls;

/// Threads that move bytes; whoever asks waits in a thread of its own.
const THREADS: usize = 2;

/// A bucket that can be asked. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    sdk: Sdk,
    pub server: Arc<Server>,
    runtime: Arc<Runtime>,
}

impl Client {
    /// Finds out who asks, and asks nothing yet.
    ///
    /// *Errors* – `s3::no_region`, `s3::certificate`.
    pub(crate) fn open(server: Server, base: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|cause| {
                Error::infrastructure("s3::runtime", "cannot start a connection's runtime")
                    .caused_by(cause)
            })?;
        let http = tls::http_client(server.ca.as_deref(), base)?;
        let times = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(server.connect_timeout_ms))
            .read_timeout(Duration::from_millis(server.read_timeout_ms))
            .build();
        // The engine tries again, and nobody else: two layers would multiply.
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(times)
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .grace_period(Duration::from_millis(server.read_timeout_ms))
                    .build(),
            );
        if let Some(region) = region(&server) {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = &server.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        loader = match &server.who {
            Who::Anonymous => loader.no_credentials(),
            Who::Found(None) => loader,
            Who::Found(Some(profile)) => loader.profile_name(profile),
            Who::Said(id, secret, token) => loader.credentials_provider(Credentials::new(
                id,
                secret,
                token.clone(),
                None,
                "the job",
            )),
        };
        let found = runtime.block_on(loader.load());
        if found.region().is_none() {
            return Err(Error::config(
                "s3::no_region",
                "no one says in which region the bucket is",
            )
            .at(server.bucket_span.clone(), "in which region?")
            .help("add `region = \"eu-central-1\"`, or `endpoint` for a server of one's own"));
        }
        let config = aws_sdk_s3::config::Builder::from(&found)
            .force_path_style(server.path_style)
            .build();
        Ok(Client {
            sdk: Sdk::from_conf(config),
            server: Arc::new(server),
            runtime: Arc::new(runtime),
        })
    }

    /// Asks, and waits for the answer; `doing` says for what, in an error.
    pub(crate) fn ask<T, E>(
        &self,
        doing: impl FnOnce() -> String,
        question: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.wait(question)
            .map_err(|cause| fault(&doing(), &self.server, cause))
    }

    /// Waits for something that happens on the connections.
    pub(crate) fn wait<F: Future>(&self, what: F) -> F::Output {
        self.runtime.block_on(what)
    }

    /// Lets something happen on the connections meanwhile.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(what)
    }

    /// The driver.
    pub(crate) fn sdk(&self) -> &Sdk {
        &self.sdk
    }

    /// The bucket's name.
    pub(crate) fn bucket(&self) -> &str {
        &self.server.bucket
    }

    /// For people: `s3://bucket/key`.
    pub(crate) fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.server.bucket)
    }
}

fn region(server: &Server) -> Option<String> {
    let usual = || server.endpoint.is_some().then(|| "us-east-1".to_owned());
    server.region.clone().or_else(usual)
}
