//! Encryption: what is asked of a server's certificate, and where trust comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dkhost_core::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What is asked for before anything is said to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing; what is said can be read and changed on the way.
    Disable,
    /// Encryption; who is at the other end is not asked.
    Require,
    /// A certificate of an authority we trust, whoever it is for.
    VerifyCa,
    /// A certificate of an authority we trust, for this host.
    VerifyFull,
}

/// The words of [`Mode`] in a job.
pub(super) const MODES: [&str; 4] = ["disable", "require", "verify-ca", "verify-full"];

impl Mode {
    /// *Errors* – `postgres::bad_sslmode`; the two of libpq that encrypt when they can are refused.
    pub(super) fn parse(word: &str) -> Result<Self> {
        let help = match word {
            "disable" => return Ok(Mode::Disable),
            "require" => return Ok(Mode::Require),
            "verify-ca" => return Ok(Mode::VerifyCa),
            "verify-full" => return Ok(Mode::VerifyFull),
            "prefer" | "allow" => {
                "whoever stands between could turn encryption off unnoticed: \
                 say \"verify-full\", or \"disable\" where the way to the server is trusted"
            }
            _ => "one of disable, require, verify-ca, verify-full",
        };
        let message = format!("`sslmode = \"{word}\"` is not offered");
        Err(Error::config("postgres::bad_sslmode", message).help(help))
    }
}

/// Files that say whom to trust and who we are.
#[derive(Debug, Clone, Default)]
pub(super) struct Papers {
    /// Certificates of trusted authorities; the system's when absent.
    pub root: Option<PathBuf>,
    /// Our own certificate, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// What makes connections of this kind.
///
/// *Errors* – `postgres::certificates` if a file cannot be read or trust comes from nowhere.
pub(super) fn connector(mode: Mode, papers: &Papers) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(mode, papers)?);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::bug("no version of TLS is offered").caused_by(cause))?;
    let checked: Option<Arc<dyn ServerCertVerifier>> = match mode {
        Mode::VerifyFull => None,
        Mode::VerifyCa => Some(Arc::new(AnyName(chain_of(&roots, &provider)?))),
        Mode::Disable | Mode::Require => Some(Arc::new(Anybody(provider))),
    };
    let builder = match checked {
        None => builder.with_root_certificates(roots),
        Some(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier),
    };
    let mut config = match &papers.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|cause| unusable(key, "does not fit its certificate").caused_by(cause))?,
    };
    // What `sslnegotiation=direct` asks for; a server before 17 does not look at it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// Certificates of authorities, when anybody asks for them.
fn roots(mode: Mode, papers: &Papers) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match (mode, &papers.root) {
        (Mode::Disable | Mode::Require, _) => {}
        (_, Some(path)) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|cause| {
                    unusable(path, "holds what is no certificate of an authority").caused_by(cause)
                })?;
            }
        }
        (_, None) => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Error::config(
                    "postgres::certificates",
                    "this system trusts no authority, so no server's certificate can be checked",
                )
                .help(
                    "install the package ca-certificates, or name a file: sslrootcert = \"ca.pem\"",
                ));
            }
        }
    }
    Ok(roots)
}

fn chain_of(
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .build()
        .map_err(|cause| Error::bug("certificates cannot be checked").caused_by(cause))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|cause| unusable(path, "is not PEM").caused_by(cause))?;
    match found.is_empty() {
        true => Err(unusable(path, "holds no certificate")),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    // The cause says what is wrong with the form, never what is in the file.
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|cause| unusable(path, "holds no private key in PEM").caused_by(cause))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|cause| Error::io("read the certificate file", path, cause))
}

fn unusable(path: &Path, how: &str) -> Error {
    let message = format!("the certificate file `{}` {how}", path.display());
    Error::config("postgres::certificates", message)
        .help("PEM files: `-----BEGIN CERTIFICATE-----`, for a key `-----BEGIN PRIVATE KEY-----`")
}

/// `verify-ca`: everything is asked but whose name it is.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // The name is looked at last, when everything else was right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `require`: whoever has the key to the certificate he shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
