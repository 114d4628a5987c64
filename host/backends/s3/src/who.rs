//! Who asks: whom the job names, whom a profile names, or whom the AWS tools would find.
//!
//! A profile that the job names is asked and nobody else: what is wrong with it must not end in
//! another's name, found in a variable or a machine's role.

use aws_config::SdkConfig;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dkhost_core::{Error, Options, Result};

/// Who asks.
#[derive(Clone)]
pub(crate) enum Who {
    /// Whom the AWS configuration names: variables, the usual profile, a container's or a machine's
    /// role.
    Found,
    /// This profile of the AWS configuration.
    Profile(String),
    /// The job says it: id, secret, token.
    Said(String, String, Option<String>),
    /// Nobody.
    Anonymous,
}

impl Who {
    /// Takes the keys that say it out of a section.
    ///
    /// *Errors* – `s3::half_credentials`, `s3::two_names`.
    pub(crate) fn read(options: &mut Options) -> Result<Self> {
        let ways = ["access_key_id", "profile", "anonymous"];
        let said: Vec<&str> = ways
            .into_iter()
            .filter(|key| options.get(key).is_some_and(|node| node.to_json() != false))
            .collect();
        if let [first, second, ..] = said[..] {
            let message = format!("`{first}` and `{second}` both say who asks");
            return Err(Error::config("s3::two_names", message)
                .at(options.span_of(second), "and this one?")
                .help(format!("leave out `{first}` or `{second}`")));
        }
        let id = options.take("access_key_id")?;
        // Each belongs to an id.
        for key in ["secret_access_key", "session_token"] {
            if id.is_none() && options.get(key).is_some() {
                return Err(half(key, "access_key_id").at(options.span_of(key), "whose?"));
            }
        }
        let id_span = options.span_of("access_key_id");
        let secret: Option<String> = options.take("secret_access_key")?;
        let token = options.take("session_token")?;
        let profile = options.take("profile")?;
        let is_anonymous = options.take("anonymous")?.unwrap_or(false);
        match (id, secret, profile) {
            (Some(id), Some(secret), _) => Ok(Who::Said(id, secret, token)),
            (Some(_), None, _) => Err(half("access_key_id", "secret_access_key")
                .at(id_span, "the secret is missing")
                .help("secret_access_key = { env = \"AWS_SECRET_ACCESS_KEY\" }")),
            (None, _, Some(profile)) => Ok(Who::Profile(profile)),
            (None, ..) if is_anonymous => Ok(Who::Anonymous),
            (None, ..) => Ok(Who::Found),
        }
    }

    /// What signs requests, where it is not for the AWS configuration to find.
    pub(crate) fn provider(
        &self,
        found: &SdkConfig,
        http: &SharedHttpClient,
    ) -> Option<SharedCredentialsProvider> {
        match self {
            Who::Found | Who::Anonymous => None,
            Who::Said(id, secret, token) => {
                let said = Credentials::new(id, secret, token.clone(), None, "the job");
                Some(SharedCredentialsProvider::new(said))
            }
            Who::Profile(name) => {
                let config = ProviderConfig::without_region()
                    .with_http_client(http.clone())
                    .with_region(found.region().cloned());
                let profile = ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .profile_name(name)
                    .build();
                Some(SharedCredentialsProvider::new(profile))
            }
        }
    }

    /// What to do when nobody can be found to ask.
    pub(crate) fn help(&self) -> String {
        match self {
            Who::Profile(profile) => format!(
                "check the profile `{profile}` in ~/.aws/config and ~/.aws/credentials, or log in: aws sso login --profile {profile}"
            ),
            _ => "set `access_key_id` and `secret_access_key`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with the AWS tools; `anonymous = true` for a public bucket".to_owned(),
        }
    }
}

fn half(there: &str, missing: &str) -> Error {
    Error::config(
        "s3::half_credentials",
        format!("`{there}` needs `{missing}`"),
    )
}
