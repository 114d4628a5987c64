//! Where a bucket is and who asks: the options that sources and targets share.
//!
//! What the job does not say is found as every program of AWS finds it: in the variables `AWS_…`,
//! the files `~/.aws/config` and `~/.aws/credentials`, a container's or a machine's role.

use dkhost_core::{Error, OptionSpec, OptionType, Options, Result, Span};

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

/// Who asks.
#[derive(Clone)]
pub(crate) enum Who {
    /// Whom the AWS configuration names, or a profile of it.
    Found(Option<String>),
    /// The job says it: id, secret, token.
    Said(String, String, Option<String>),
    /// Nobody.
    Anonymous,
}

/// A bucket on a server, as the job says it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    pub bucket: String,
    pub bucket_span: Span,
    pub prefix: String,
    pub prefix_span: Span,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub path_style: bool,
    pub who: Who,
    /// The path of a file of authorities, relative to the job.
    pub ca: Option<String>,
    pub connect_timeout_ms: u64,
    pub read_timeout_ms: u64,
}

impl Server {
    /// Takes the keys of the server out of a section.
    pub(crate) fn read(options: &mut Options) -> Result<Self> {
        let bucket_span = options.span_of("bucket");
        let bucket: String = options.require("bucket")?;
        let bucket = plain_bucket(bucket, &bucket_span)?;
        let prefix_span = match options.get("prefix") {
            Some(node) => node.span.clone(),
            None => bucket_span.clone(),
        };
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
            bucket_span,
            prefix: options.take("prefix")?.unwrap_or_default(),
            prefix_span,
            region: options.take("region")?,
            path_style,
            who: who(options)?,
            ca: options.take("ca")?,
            connect_timeout_ms: millis(options, "connect_timeout_ms", 10_000)?,
            read_timeout_ms: millis(options, "read_timeout_ms", 60_000)?,
            endpoint,
        })
    }

    /// For people, without a secret: `s3://bucket/prefix`.
    pub(crate) fn label(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// `s3://bucket` and `arn:aws:s3:::bucket` are written as well, and mean the bucket.
fn plain_bucket(text: String, span: &Span) -> Result<String> {
    let name = text.strip_prefix("s3://").unwrap_or(&text);
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

fn who(options: &mut Options) -> Result<Who> {
    let id_span = options.span_of("access_key_id");
    let secret_span = options.span_of("secret_access_key");
    let id: Option<String> = options.take("access_key_id")?;
    let secret: Option<String> = options.take("secret_access_key")?;
    let token: Option<String> = options.take("session_token")?;
    let profile: Option<String> = options.take("profile")?;
    let anonymous = options.take("anonymous")?.unwrap_or(false);
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Who::Said(id, secret, token)),
        (Some(_), None) => Err(Error::config(
            "s3::half_credentials",
            "`access_key_id` needs `secret_access_key`",
        )
        .at(id_span, "the secret is missing")
        .help("secret_access_key = { env = \"AWS_SECRET_ACCESS_KEY\" }")),
        (None, Some(_)) => Err(Error::config(
            "s3::half_credentials",
            "`secret_access_key` needs `access_key_id`",
        )
        .at(secret_span, "whose secret?")),
        (None, None) if anonymous => Ok(Who::Anonymous),
        (None, None) => Ok(Who::Found(profile)),
    }
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
