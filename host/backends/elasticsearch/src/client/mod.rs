//! The way to a cluster: its nodes, who we are to them, and how long things may take.
//!
//! Requests are made by the transport of the crate `elasticsearch`, one for each node: its own pool
//! of nodes goes on asking those that are dead, so whose turn it is is decided in [`nodes`]. It has
//! no time limit for connecting alone either, so a node that was not heard of for a while is asked
//! for a sign of life first. Bodies are bytes made here, compressed here if at all, since the crate
//! compresses all of them or none; answers are bytes too, because a document's text is decoded
//! straight into columns. Its generated API of builders is not used.
//!
//! The traits are synchronous: a [`Client`] has a runtime of its own, whose one thread moves the
//! bytes, and callers wait ([`Client::send`]) or go on and ask later ([`Client::begin`]).
//!
//! Nothing here tries a request again that may have been carried out: that is for the engine, which
//! knows what was written. One that did not reach its node is sent to the next.

mod address;
mod nodes;
mod product;
mod request;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dkhost_core::{Error, OptionSpec, OptionType, Options, Result, Span};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::http::{Method, Url};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::fault;
use address::{Address, Login};
use nodes::{Node, Nodes};
pub(crate) use product::{Kind, Product};
pub(crate) use request::{Answer, Media, Request, segment};

/// The options that say where a cluster is: of sources and targets alike.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::required(
        "url",
        OptionType::Any,
        "Where a node is: http://localhost:9200, or several in a list; the next is asked when one does not answer.",
    ),
    OptionSpec::optional(
        "auth",
        OptionType::Table,
        "Who we are: { username = \"…\", password = { env = \"…\" } }.",
    ),
    OptionSpec::optional(
        "api_key",
        OptionType::Text,
        "An API key instead: what the server calls `encoded`, or id:key.",
    ),
    OptionSpec::optional(
        "ca",
        OptionType::Text,
        "A PEM file of authorities that may have signed the server's certificate, beside those that are known anyway.",
    ),
    OptionSpec::optional(
        "connect_timeout_ms",
        OptionType::Integer,
        "How long a node may take to give a sign of life before the next is asked; default 10000.",
    ),
    OptionSpec::optional(
        "request_timeout_ms",
        OptionType::Integer,
        "How long a request may take, its answer included; default 120000.",
    ),
];

/// A cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
    // Not in the part that tasks share: a runtime must not end on its own thread.
    runtime: Arc<Runtime>,
}

struct Inner {
    nodes: Nodes,
    span: Span,
    connect: Duration,
    request: Duration,
    in_clear: bool,
    product: OnceLock<Product>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.name()).finish()
    }
}

/// A request that is under way.
pub(crate) struct Pending {
    runtime: Arc<Runtime>,
    task: JoinHandle<Result<Answer>>,
}

impl Pending {
    /// Waits for the answer.
    pub fn wait(self) -> Result<Answer> {
        let answered = self.runtime.block_on(self.task);
        answered
            .map_err(|cause| Error::bug("a request ended without an answer").caused_by(cause))?
    }
}

impl Client {
    /// Takes the options of [`OPTIONS`]; files are looked for from `base`, the job file's folder.
    /// Nothing is sent yet.
    ///
    /// *Errors* – `elasticsearch::bad_url`, `elasticsearch::bad_login`,
    /// `elasticsearch::certificates`; none repeats a password.
    pub fn take(options: &mut Options, base: &Path) -> Result<Self> {
        let span = options.span_of("url");
        let address = Address::take(options)?;
        let authorities = authorities(options, base)?;
        let connect = time(options, "connect_timeout_ms", Duration::from_secs(10))?;
        let request = time(options, "request_timeout_ms", Duration::from_secs(120))?;
        let plain = |url: &Url| url.scheme() == "http" && !is_local(url);
        let in_clear = !matches!(address.login, Login::Nobody) && address.nodes.iter().any(plain);
        let nodes = address.nodes.into_iter();
        let nodes: Vec<Node> = nodes
            .map(|url| node(url, &address.login, authorities.as_deref()))
            .collect::<Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("elasticsearch")
            .enable_all()
            .build()
            .map_err(|cause| {
                Error::infrastructure("elasticsearch::runtime", "cannot start a runtime")
                    .caused_by(cause)
            })?;
        let inner = Inner {
            nodes: Nodes::new(nodes),
            span,
            connect,
            request,
            in_clear,
            product: OnceLock::new(),
        };
        Ok(Client {
            inner: Arc::new(inner),
            runtime: Arc::new(runtime),
        })
    }

    /// For people, without a password: `es.example.com:9200`.
    pub fn name(&self) -> String {
        self.inner.nodes.places().join(", ")
    }

    /// Where the job file says it.
    pub fn span(&self) -> Span {
        self.inner.span.clone()
    }

    /// What the plan says about the way to the server.
    pub fn notes(&self) -> Vec<String> {
        match self.inner.in_clear {
            true => vec![format!(
                "{} is spoken to in clear, password included: say https:// where others can listen",
                self.name()
            )],
            false => Vec::new(),
        }
    }

    /// What the server is, asked for once.
    ///
    /// *Errors* – `elasticsearch::not_elasticsearch`, `elasticsearch::too_old`, or what reaching it
    /// fails with.
    pub fn product(&self) -> Result<&Product> {
        if let Some(known) = self.inner.product.get() {
            return Ok(known);
        }
        let found = product::detect(self).map_err(|error| error.at_least(self.span()))?;
        Ok(self.inner.product.get_or_init(|| found))
    }

    /// Sends a request and waits for the answer, whatever its status.
    ///
    /// *Errors* – `elasticsearch::unreachable`, `elasticsearch::timed_out`,
    /// `elasticsearch::connection_lost` and the like: no node answered.
    pub fn send(&self, request: &Request) -> Result<Answer> {
        self.runtime.block_on(self.inner.ask(request))
    }

    /// Sends a request and waits for an answer that is one of success.
    ///
    /// *Errors* – beside those of [`Client::send`] what the status means ([`fault::refused`]).
    pub fn ask(&self, request: &Request) -> Result<Answer> {
        let answer = self.send(request)?;
        match answer.is_fine() {
            true => Ok(answer),
            false => Err(fault::refused(&request.doing, &answer)),
        }
    }

    /// Sends a request whose answer is waited for later. Dropping what comes back does not recall it.
    pub fn begin(&self, request: Request) -> Pending {
        let inner = Arc::clone(&self.inner);
        let task = self.runtime.spawn(async move { inner.ask(&request).await });
        Pending {
            runtime: Arc::clone(&self.runtime),
            task,
        }
    }
}

impl Inner {
    /// Asks nodes in turn until one answers.
    async fn ask(&self, request: &Request) -> Result<Answer> {
        let body = match &request.body {
            Some((body, _)) if request.gzip => Some(compressed(body)?),
            Some((body, _)) => Some(body.clone()),
            None => None,
        };
        let mut failed = None;
        for node in self.nodes.in_turn() {
            if !node.is_known()
                && let Err(error) = self.is_there(node, &request.doing).await
            {
                failed = failed.or(Some(error));
                continue;
            }
            match self.ask_one(node, request, body.clone()).await {
                // Nothing was carried out, so the next node can be asked.
                Err(error) if error.code() == "elasticsearch::unreachable" => {
                    failed = failed.or(Some(error));
                }
                other => return other,
            }
        }
        let error = failed.unwrap_or_else(|| Error::bug("a cluster without nodes"));
        Err(error.at_least(self.span.clone()))
    }

    /// Asks a node for a sign of life, which any answer is.
    async fn is_there(&self, node: &Node, doing: &str) -> Result<()> {
        let sign = Request {
            method: Method::Head,
            timeout: Some(self.connect),
            ..Request::get(doing, "")
        };
        match self.ask_one(node, &sign, None).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == "elasticsearch::timed_out" => {
                Err(fault::too_late(doing, &node.place, self.connect))
            }
            // A server that expects https hangs up on http, without a word.
            Err(error) if error.code() == "elasticsearch::connection_lost" => {
                Err(error.help(fault::OTHER_SPEECH))
            }
            Err(error) => Err(error),
        }
    }

    async fn ask_one(&self, node: &Node, request: &Request, body: Option<Bytes>) -> Result<Answer> {
        let sent = node.transport.send(
            request.method,
            &request.path,
            headers(request),
            Some(&request.query),
            body,
            Some(request.timeout.unwrap_or(self.request)),
        );
        let answered = async {
            let response = sent.await?;
            let (status, headers) = (response.status_code().as_u16(), response.headers().clone());
            Ok((status, headers, response.bytes().await?))
        };
        match answered.await {
            Ok((status, headers, body)) => {
                node.answered();
                let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim().to_owned());
                Ok(Answer {
                    node: node.place.clone(),
                    status,
                    retry_after: text(RETRY_AFTER.as_str())
                        .and_then(|seconds| seconds.parse().ok())
                        .map(Duration::from_secs),
                    product: text("x-elastic-product"),
                    body,
                })
            }
            Err(cause) => {
                node.failed();
                Err(fault::lost(&request.doing, &node.place, cause))
            }
        }
    }
}

fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Unpacking costs more than the bytes it saves on the way from a cluster nearby.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some((_, media)) = &request.body {
        let media = match media {
            Media::Json => "application/json",
            Media::Lines => "application/x-ndjson",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    }
    if request.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers
}

/// At the fastest level: what it saves is the network's, what it costs is ours.
fn compressed(body: &[u8]) -> Result<Bytes> {
    let mut packer = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let packed = packer.write_all(body).and_then(|()| packer.finish());
    packed
        .map(Bytes::from)
        .map_err(|cause| Error::bug("a body cannot be compressed").caused_by(cause))
}

fn node(url: Url, login: &Login, authorities: Option<&[u8]>) -> Result<Node> {
    let port = url.port_or_known_default().unwrap_or_default();
    let place = format!("{}:{port}", url.host_str().unwrap_or_default());
    let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(url))
        // The environment is not asked: the job says where the server is.
        .disable_proxy()
        .enable_meta_header(false);
    if let Some(credentials) = login.credentials() {
        transport = transport.auth(credentials);
    }
    if let Some(pem) = authorities {
        let unusable =
            |cause| unusable("the file of `ca` holds what is no certificate").caused_by(cause);
        let certificates = Certificate::from_pem(pem).map_err(unusable)?;
        transport = transport.cert_validation(CertificateValidation::Full(certificates));
    }
    let transport = transport.build().map_err(|cause| {
        unusable("no encrypted connection can be made with what `ca` and this system say")
            .caused_by(cause)
    })?;
    Ok(Node::new(place, transport))
}

/// The text of the file `ca` names.
fn authorities(options: &mut Options, base: &Path) -> Result<Option<Vec<u8>>> {
    let span = options.span_of("ca");
    let Some(path) = options.take::<String>("ca")? else {
        return Ok(None);
    };
    let path = base.join(path);
    let text = std::fs::read(&path).map_err(|cause| {
        Error::io("read the certificate file", &path, cause).at(span.clone(), "here")
    })?;
    let holds = |needle: &[u8]| text.windows(needle.len()).any(|part| part == needle);
    match holds(b"-----BEGIN CERTIFICATE-----") && Certificate::from_pem(&text).is_ok() {
        true => Ok(Some(text)),
        false => Err(unusable(&format!(
            "the file `{}` holds no certificate",
            path.display()
        ))
        .at(span, "here")),
    }
}

fn unusable(message: &str) -> Error {
    Error::config("elasticsearch::certificates", message.to_owned())
        .help("a PEM file of the authority that signed the server's certificate: `-----BEGIN CERTIFICATE-----`")
}

fn time(options: &mut Options, name: &str, default: Duration) -> Result<Duration> {
    let span = options.span_of(name);
    match options.take::<i64>(name)?.map(i32::try_from) {
        None => Ok(default),
        Some(Ok(ms @ 1..)) => Ok(Duration::from_millis(ms as u64)),
        Some(_) => {
            let message = format!(
                "`{name}` is a number of milliseconds from 1 to {}",
                i32::MAX
            );
            Err(Error::config("job::wrong_value", message).at(span, "here"))
        }
    }
}

/// Whether it is this machine.
fn is_local(url: &Url) -> bool {
    match url.host_str().unwrap_or_default() {
        "localhost" | "[::1]" => true,
        host => host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback()),
    }
}
