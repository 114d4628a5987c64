//! Whom we believe to be the server: the authorities the system trusts, or those the job names.

use std::path::Path;

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dkhost_core::{Error, Result};

/// What speaks HTTP; `ca` is a file of authorities beside the job in `base`.
///
/// *Errors* – `s3::certificate` for a file that holds none.
pub(crate) fn http_client(ca: Option<&str>, base: &Path) -> Result<SharedHttpClient> {
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let Some(ca) = ca else {
        return Ok(builder.build_https());
    };
    let pem = std::fs::read(base.join(ca)).map_err(|cause| Error::io("read", ca, cause))?;
    let is_pem = pem
        .windows(BEGIN.len())
        .any(|window| window == BEGIN.as_bytes());
    let context = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(pem))
        .build();
    match context {
        // The builder panics later on what it cannot read.
        Ok(context) if is_pem => Ok(builder.tls_context(context).build_https()),
        _ => Err(
            Error::config("s3::certificate", format!("`{ca}` holds no certificate"))
                .help("`ca` is a PEM file: -----BEGIN CERTIFICATE-----"),
        ),
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
