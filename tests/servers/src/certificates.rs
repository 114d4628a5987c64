//! Certificates made on the spot: an authority, what it signs, and requests to who has them.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{self, Answer, Request};

/// An authority that nobody trusts who is not told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key, as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = params(&[], "dkhost tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer =
            CertifiedIssuer::self_signed(params, key()).expect("an authority signs itself");
        Authority { issuer }
    }

    /// What trusts it, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate of a server of these names and addresses.
    pub fn server(&self, names: &[&str]) -> Certificate {
        let mut params = params(names, names.first().copied().unwrap_or("nobody"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// One that has expired.
    pub fn expired_server(&self, names: &[&str]) -> Certificate {
        let mut params = params(names, "yesterday");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// A certificate of a client; a server takes `name` for its user.
    pub fn client(&self, name: &str) -> Certificate {
        let mut params = params(&[], name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certificate {
        let key = key();
        let signed = params
            .signed_by(&key, &self.issuer)
            .expect("an authority signs");
        Certificate {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Asks a server whose certificate this authority, as PEM, must have signed.
///
/// *Errors* – a sentence, if there is no answer.
pub(crate) fn ask(address: &str, authority: &str, request: &Request<'_>) -> Result<Answer, String> {
    let failed = |cause: &dyn std::fmt::Display| format!("cannot speak TLS to {address}: {cause}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|cause| failed(&cause))?;
        roots.add(certificate).map_err(|cause| failed(&cause))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| failed(&cause))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| failed(&cause))?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(|cause| failed(&cause))?;
    let mut stream = StreamOwned::new(session, http::connect(address)?);
    http::exchange(&mut stream, address, request)
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key is made")
}

fn params(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names for certificates");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}
