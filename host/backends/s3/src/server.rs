//! Where a bucket is and who asks: the options that sources and targets share.
//!
//! What the job does not say is found as every program of AWS finds it: in the variables `AWS_…`,
//! the files `~/.aws/config` and `~/.aws/credentials`, a container's or a machine's role.

use dkhost_core::{Error, OptionSpec, OptionType, Options, Result, Span};

use crate::who::Who;

/// The keys that say where a bucket is.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::required("bucket", OptionType::Text, "The bucket."),
    OptionSpec::optional(
        "prefix",
        OptionType::Text,
        "What the keys begin with: exports/2024/; default: all of the bucket.",
    ),
    OptionSpec::optional(
        "endpoint",
        OptionType::Text,
        "The address of a server that is not Amazon's: https://minio.example.com:9000.",
    ),
    OptionSpec::optional(
        "region",
        OptionType::Text,
        "The bucket's region; default: that of the AWS configuration, with `endpoint` us-east-1.",
    ),
    OptionSpec::optional(
        "path_style",
        OptionType::Boolean,
        "Whether the bucket stands in the path and not in the host's name; default: with `endpoint` true.",
    ),
    OptionSpec::optional(
        "access_key_id",
        OptionType::Text,
        "Who asks; default: as the AWS tools find it (variables, profiles, roles).",
    ),
    OptionSpec::optional(
        "secret_access_key",
        OptionType::Text,
        "The secret of `access_key_id`; like any text from a file or variable: { env = \"…\" }.",
    ),
    OptionSpec::optional(
        "session_token",
        OptionType::Text,
        "The token of credentials that expire.",
    ),
    OptionSpec::optional(
        "profile",
        OptionType::Text,
        "The profile of the AWS configuration that says who asks.",
    ),
    OptionSpec::optional(
        "anonymous",
        OptionType::Boolean,
        "Asks without a name, for public buckets; default false.",
    ),
    OptionSpec::optional(
        "ca",
        OptionType::Text,
        "A PEM file of the authorities that may have signed the server's certificate; default those the system trusts.",
    ),
    OptionSpec::optional(
        "connect_timeout_ms",
        OptionType::Integer,
        "How long a connection may take to come about; default 10000.",
    ),
    OptionSpec::optional(
        "read_timeout_ms",
        OptionType::Integer,
        "How long the server may take until it begins to answer; default 60000.",
    ),
];

/// A bucket on a server, as the job says it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    pub bucket: String,
    pub prefix: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub path_style: bool,
    pub who: Who,
    /// The path of a file of authorities, relative to the job.
    pub ca: Option<String>,
    pub connect_timeout_ms: u64,
    pub read_timeout_ms: u64,
    /// Where the job says which of these.
    spans: Vec<(&'static str, Span)>,
}

impl Server {
    /// Takes the keys of the server out of a section.
    pub(crate) fn read(options: &mut Options) -> Result<Self> {
        let spans = OPTIONS.iter().filter_map(|option| {
            let node = options.get(option.name)?;
            Some((option.name, node.span.clone()))
        });
        let spans = spans.collect();
        let bucket_span = options.span_of("bucket");
        let bucket: String = options.require("bucket")?;
        let bucket = plain_bucket(bucket, &bucket_span)?;
        let endpoint_span = options.span_of("endpoint");
        let endpoint: Option<String> = options.take("endpoint")?;
        if let Some(endpoint) = &endpoint
            && !endpoint.starts_with("http://")
            && !endpoint.starts_with("https://")
        {
            return Err(Error::config(
                "s3::bad_endpoint",
                "`endpoint` does not begin with http:// or https://",
            )
            .at(endpoint_span, "not an address")
            .help("write it with its scheme and port: https://minio.example.com:9000"));
        }
        let path_style = options.take("path_style")?.unwrap_or(endpoint.is_some());
        Ok(Server {
            bucket,
            prefix: options.take("prefix")?.unwrap_or_default(),
            region: options.take("region")?,
            path_style,
            who: Who::read(options)?,
            ca: options.take("ca")?,
            connect_timeout_ms: millis(options, "connect_timeout_ms", 10_000)?,
            read_timeout_ms: millis(options, "read_timeout_ms", 60_000)?,
            endpoint,
            spans,
        })
    }

    /// Where the job says this, if it does.
    pub(crate) fn said(&self, key: &str) -> Option<Span> {
        let said = self.spans.iter().find(|(name, _)| *name == key);
        said.map(|(_, span)| span.clone())
    }

    /// Where the job says what keys begin with, else in which bucket.
    pub(crate) fn span(&self) -> Span {
        let span = self.said("prefix").or_else(|| self.said("bucket"));
        span.unwrap_or_default()
    }

    /// For people, without a secret: `s3://bucket/prefix`.
    pub(crate) fn label(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// `s3://bucket` and `arn:aws:s3:::bucket` are written as well, and mean the bucket.
fn plain_bucket(text: String, span: &Span) -> Result<String> {
    let said = ["s3://", "arn:aws:s3:::"];
    let name = said.iter().find_map(|said| text.strip_prefix(said));
    let name = name.unwrap_or(&text);
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() || name.contains('/') && !name.starts_with("arn:") {
        return Err(
            Error::config("s3::bad_bucket", "`bucket` is no bucket's name")
                .at(span.clone(), "not a name")
                .help("write `bucket = \"name\"`, and what keys begin with as `prefix`"),
        );
    }
    Ok(name.to_owned())
}

/// Longest time that can be asked for: a day.
const MILLIS_MAX: u64 = 86_400_000;

fn millis(options: &mut Options, name: &str, usual: u64) -> Result<u64> {
    let span = options.span_of(name);
    match options.take::<u64>(name)? {
        None => Ok(usual),
        Some(found @ 1..=MILLIS_MAX) => Ok(found),
        Some(_) => Err(Error::config(
            "job::wrong_value",
            format!("`{name}` must be between 1 and {MILLIS_MAX}"),
        )
        .at(span, "milliseconds")),
    }
}
