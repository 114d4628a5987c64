//! What the errors of a server mean to the engine: tried again, slowed down for, or the end.
//!
//! The class follows the code in the answer's body; answers to HEAD have no body, and then the
//! status of HTTP is all there is. Servers other than Amazon's have codes of their own for the same
//! trouble.

use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use dkhost_core::{Class, Error};

use crate::server::Server;
use crate::who::Who;

/// What the server said when it refused something: the cause of an [`Error`] of [`fault`].
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The status of HTTP.
    pub status: u16,
    /// `NoSuchKey`; empty in answers without a body.
    pub code: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.code.as_str() {
            "" => String::new(),
            code => format!(" {code}"),
        };
        match self.message.trim().trim_end_matches('.') {
            "" => write!(f, "the server answers {}{code}", self.status),
            said => write!(f, "{said} ({}{code})", self.status),
        }
    }
}

impl std::error::Error for Refusal {}

/// What the server said, if the error is a refusal of the server.
pub(crate) fn refusal(error: &Error) -> Option<&Refusal> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether `If-Match` or `If-None-Match` did not hold.
pub(crate) fn is_precondition(error: &Error) -> bool {
    error.code() == PRECONDITION
}

/// Whether there is no such object.
pub(crate) fn is_absent(error: &Error) -> bool {
    error.code() == NO_OBJECT
}

/// Whether the upload of several parts is not known any more, or not as we know it.
pub(crate) fn is_upload_lost(error: &Error) -> bool {
    error.code() == UPLOAD_LOST
}

const PRECONDITION: &str = "s3::precondition";
const NO_OBJECT: &str = "s3::no_object";
const UPLOAD_LOST: &str = "s3::upload_lost";

const AGAIN: &str = "run the same command again: it goes on where it stopped";

/// An error of the driver while `doing` something (`read s3://crm/a.jsonl`) as one of ours.
pub(crate) fn fault<E>(doing: &str, server: &Server, cause: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let message = format!("cannot {doing}");
    match &cause {
        // A code, if it is one of S3's; a success that says nothing was something else.
        SdkError::ServiceError(answer)
            if answer.err().code().is_some() || !answer.raw().status().is_success() =>
        {
            let status = answer.raw().status().as_u16();
            let elsewhere = answer.raw().headers().get("x-amz-bucket-region");
            let said = Refusal {
                status,
                code: answer.err().code().unwrap_or_default().to_owned(),
                message: answer.err().message().unwrap_or_default().to_owned(),
            };
            refused(message, server, elsewhere, said)
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => not_sent(message, server, &cause),
        SdkError::ConstructionFailure(_) => match credentials(&message, server, &cause) {
            Some(error) => error,
            None => Error::infrastructure("s3::failed", message).caused_by(chain(&cause)),
        },
        _ => Error::new(Class::Transient, "s3::bad_answer", message)
            .help("the answer is not one of S3: is `endpoint` an S3 server, with the right one of http:// and https://, or is something in between?")
            .caused_by(innermost(&cause)),
    }
}

fn unreachable(message: String, server: &Server, cause: &dyn std::error::Error) -> Error {
    let place = server
        .endpoint
        .as_deref()
        .map_or("Amazon's servers".to_owned(), |endpoint| {
            format!("`{endpoint}`")
        });
    let error = Error::new(Class::Transient, "s3::unreachable", message).help(format!(
        "check that {place} can be reached from here; then {AGAIN}"
    ));
    at(error, server, "endpoint", "no answer").caused_by(innermost(cause))
}

/// No answer came: credentials, the way there, or a connection that ended too early.
fn not_sent(message: String, server: &Server, cause: &dyn std::error::Error) -> Error {
    if let Some(error) = credentials(&message, server, cause) {
        return error;
    }
    let words = chain(cause);
    let is_any = |known: &[&str]| known.iter().any(|known| words.contains(known));
    if is_any(&["invalid peer certificate", "UnknownIssuer"]) {
        let help = match &server.ca {
            None => {
                "name the file of the authority that signed the server's certificate: ca = \"ca.pem\""
            }
            Some(_) => {
                "another authority than `ca` signed the server's certificate, or it is for another name than `endpoint`"
            }
        };
        let error = Error::config("s3::certificate", message).help(help);
        return at(error, server, "ca", "not this one").caused_by(innermost(cause));
    }
    if is_any(&["InvalidContentType", "corrupt message"]) {
        let error = Error::config("s3::no_tls", message)
            .help("whoever answers there does not speak TLS: `endpoint` with http://, or the port of https");
        return at(error, server, "endpoint", "does not answer in TLS").caused_by(innermost(cause));
    }
    unreachable(message, server, cause)
}

/// Nobody says who asks, or whoever should know does not.
fn credentials(message: &str, server: &Server, cause: &dyn std::error::Error) -> Option<Error> {
    let words = chain(cause);
    if !words.contains("redential") && !words.contains("identity") {
        return None;
    }
    // A machine that is none of Amazon's has nobody to ask for its role; that is no news.
    let is_nobody = words.contains("no credentials found in chain") || words.contains("IMDS");
    let why = match (&server.who, is_nobody) {
        (Who::Found, true) => {
            "there are none in the job, in variables, in the usual profile, or of this machine"
                .to_owned()
        }
        (Who::Profile(_), _) if words.ends_with("not enabled") => {
            "there is no such profile, or it says nothing about who asks".to_owned()
        }
        _ => innermost(cause),
    };
    let error = Error::config("s3::no_credentials", format!("{message}: no credentials"));
    let error = error.help(server.who.help()).caused_by(why);
    Some(at(error, server, "profile", "gives no credentials"))
}

/// Points at what the job says under a key, if it says it.
fn at(error: Error, server: &Server, key: &str, label: &str) -> Error {
    match server.said(key) {
        Some(span) => error.at(span, label),
        None => error,
    }
}

/// Which key of the job is to blame for a refusal, and what is wrong with it.
fn blamed(code: &str, said: &Refusal) -> Option<(&'static str, &'static str)> {
    match (code, said.code.as_str()) {
        ("s3::no_bucket", _) => Some(("bucket", "not there")),
        ("s3::wrong_region", _) => Some(("region", "another one")),
        (_, "InvalidAccessKeyId") => Some(("access_key_id", "not known to the server")),
        (_, "SignatureDoesNotMatch") => Some(("secret_access_key", "not the secret of that id")),
        (_, "InvalidToken" | "InvalidTokenId") => Some(("session_token", "not of this server")),
        _ => None,
    }
}

fn refused(message: String, server: &Server, elsewhere: Option<&str>, said: Refusal) -> Error {
    let (class, code, help) = meaning(&said);
    let help = match (code, elsewhere.filter(|region| !region.is_empty())) {
        ("s3::wrong_region", Some(region)) => {
            format!("the bucket is in another region: region = \"{region}\"")
        }
        ("s3::no_bucket", _) => format!(
            "check the bucket's name, `{}`, and the endpoint; dkhost creates no buckets",
            server.bucket
        ),
        _ => help.to_owned(),
    };
    let blamed = blamed(code, &said);
    let error = Error::new(class, code, message).caused_by(said);
    let error = match blamed {
        Some((key, label)) => at(error, server, key, label),
        None => error,
    };
    match help.is_empty() {
        true => error,
        false => error.help(help),
    }
}

type Meaning = (Class, &'static str, &'static str);

/// What a code means, else its status.
///
/// *Source* – Amazon S3 API reference, "Error responses"; `cmd/api-errors.go` of MinIO;
/// `s3err` of versitygw.
fn meaning(said: &Refusal) -> Meaning {
    use Class::{Config, Infrastructure, Throttled, Transient};
    const SLOWER: &str =
        "the server asks for fewer requests: fewer `partitions` help, or try later";
    match said.code.as_str() {
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "BandwidthLimitExceeded" => (Throttled, "s3::slow_down", SLOWER),
        "InternalError" | "RequestTimeout" | "OperationAborted" | "ConditionalRequestConflict" => {
            (Transient, "s3::server_trouble", AGAIN)
        }
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody" => (
            Transient,
            "s3::damaged",
            "what arrived is not what was sent; what is between here and the server?",
        ),
        "NoSuchUpload" | "InvalidPart" | "InvalidPartOrder" => (Transient, UPLOAD_LOST, AGAIN),
        "PreconditionFailed" => (Infrastructure, PRECONDITION, ""),
        "NoSuchKey" | "NoSuchVersion" => (Infrastructure, NO_OBJECT, ""),
        "NoSuchBucket" | "InvalidBucketName" => (Config, "s3::no_bucket", ""),
        "InvalidAccessKeyId" => (
            Config,
            "s3::denied",
            "the server does not know this `access_key_id`",
        ),
        "SignatureDoesNotMatch" => (
            Config,
            "s3::denied",
            "`secret_access_key` does not belong to `access_key_id`, or something in between changes requests",
        ),
        "ExpiredToken" | "TokenRefreshRequired" => (
            Infrastructure,
            "s3::expired",
            "get new credentials, and run the same command again: it goes on where it stopped",
        ),
        "InvalidToken" | "InvalidTokenId" => (
            Config,
            "s3::denied",
            "`session_token` is not one of this server, or one is missing",
        ),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => (
            Config,
            "s3::denied",
            "reading needs s3:ListBucket and s3:GetObject; writing s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload as well",
        ),
        "RequestTimeTooSkewed" => (
            Infrastructure,
            "s3::clock",
            "this machine's clock is wrong by more than 15 minutes",
        ),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidRegion" => (
            Config,
            "s3::wrong_region",
            "check `region`: the bucket is in another one",
        ),
        "InvalidObjectState" => (
            Infrastructure,
            "s3::archived",
            "the object is in an archive: restore it first",
        ),
        "XMinioStorageFull"
        | "QuotaExceeded"
        | "XMinioAdminBucketQuotaExceeded"
        | "InsufficientStorage" => (
            Infrastructure,
            "s3::full",
            "make room on the server, and run the same command again: it goes on where it stopped",
        ),
        _ => by_status(said.status),
    }
}

fn by_status(status: u16) -> Meaning {
    use Class::{Config, Infrastructure, Throttled, Transient};
    match status {
        301 | 307 => (
            Config,
            "s3::wrong_region",
            "check `region`: the bucket is in another one",
        ),
        401 | 403 => (
            Config,
            "s3::denied",
            "check the credentials, and what they may do with this bucket",
        ),
        404 => (Infrastructure, NO_OBJECT, ""),
        408 | 409 => (Transient, "s3::server_trouble", AGAIN),
        412 => (Infrastructure, PRECONDITION, ""),
        429 | 503 => (Throttled, "s3::slow_down", AGAIN),
        507 => (
            Infrastructure,
            "s3::full",
            "make room on the server, and run the same command again: it goes on where it stopped",
        ),
        500.. => (Transient, "s3::server_trouble", AGAIN),
        _ => (Infrastructure, "s3::refused", ""),
    }
}

/// An answer's body that ended, or did not come, before it was complete.
pub(crate) fn cut(doing: &str, cause: &dyn std::error::Error) -> Error {
    Error::new(Class::Transient, "s3::cut", format!("cannot {doing}"))
        .help(AGAIN)
        .caused_by(innermost(cause))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
        text.push_str(": ");
        text.push_str(&next.to_string());
    }
    text
}
