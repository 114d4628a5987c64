//! Requests to one bucket, asked from threads that wait for their answers.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::Client as Sdk;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use dkhost_core::{Error, Result};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::fault::fault;
use crate::server::Server;
use crate::tls;
use crate::who::Who;

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
        let found = runtime.block_on(found(&server, &http, times))?;
        let mut config = aws_sdk_s3::config::Builder::from(&found);
        if let Some(provider) = server.who.provider(&found, &http) {
            config = config.credentials_provider(provider);
        }
        let config = config.force_path_style(server.path_style);
        Ok(Client {
            sdk: Sdk::from_conf(config.build()),
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

/// How long it may take to find out in which region we are: a machine of Amazon's says it at once,
/// and others have nobody who answers.
const REGION_WAIT: Duration = Duration::from_secs(2);

/// The AWS configuration, and what the job says before it.
///
/// *Errors* – `s3::no_region`.
async fn found(
    server: &Server,
    http: &SharedHttpClient,
    times: TimeoutConfig,
) -> Result<SdkConfig> {
    // The engine tries again, and nobody else: two layers would multiply.
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(times)
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .grace_period(Duration::from_millis(server.read_timeout_ms))
                .build(),
        );
    if let Some(region) = region(server) {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = &server.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader = match &server.who {
        Who::Anonymous => loader.no_credentials(),
        Who::Profile(name) => loader.profile_name(name),
        Who::Found | Who::Said(..) => loader,
    };
    let found = tokio::time::timeout(REGION_WAIT, loader.load()).await.ok();
    found
        .filter(|found| found.region().is_some())
        .ok_or_else(|| {
            Error::config("s3::no_region", "no one says in which region the bucket is")
                .at(
                    server.said("bucket").unwrap_or_default(),
                    "in which region?",
                )
                .help("add `region = \"eu-central-1\"`, or `endpoint` for a server of one's own")
        })
}

fn region(server: &Server) -> Option<String> {
    let usual = || server.endpoint.is_some().then(|| "us-east-1".to_owned());
    server.region.clone().or_else(usual)
}
