//! TLS by rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use super::Error;
use super::error::plain;

/// What ALPN calls HTTP/2 (RFC 9113 §3.2).
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The files of a certificate chain and of its private key.
#[derive(Clone, Debug)]
pub(super) struct PemFiles {
    pub(super) certificates: PathBuf,
    pub(super) key: PathBuf,
}

impl PemFiles {
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let certificates = certificates(&self.certificates)?;
        let key = private_key(&self.key)?;
        // The provider is given by hand: the program that we are linked into may have one of its
        // own for the whole process.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.certificates, error))?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    let certificates = self.certificates.display();
                    unusable(&self.key, format!("not the key of the certificate in {certificates}"))
                }
                error => unusable(&self.certificates, error),
            })?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        // Clients that come back after a drain resume their session, without a list of sessions
        // being kept here.
        config.ticketer = ring::Ticketer::new().map_err(|error| unusable(&self.key, error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "no certificate in it"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => unusable(path, "no private key in it"),
        error => unusable(path, error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| unusable(path, plain(&error)))
}

fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::File { path: path.to_owned(), reason: reason.to_string() }
}
