//! TLS configuration of a listener. Called by `gx dev` for its HTTPS listener.

use std::sync::Arc;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or the key cannot be read.
    #[error("the TLS certificate or its key cannot be read as PEM; replace the file")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The certificate and the key do not match, or are of an unsupported type.
    #[error("the TLS certificate and its key cannot be used together; replace both files")]
    Config(#[from] rustls::Error),
}

/// Creates the configuration of a TLS listener from a certificate chain and its key in PEM.
///
/// # Errors
/// [`TlsError`] if they cannot be read or do not match.
pub fn tls_config(
    certificates_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(certificates_pem).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
