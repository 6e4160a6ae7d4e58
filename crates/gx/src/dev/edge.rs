//! The certificate of the development stack's HTTPS listener. Called by `stack` at each start; a
//! [`DevError`] ends the start.

use rcgen::{CertificateParams, KeyPair};

use super::{DataDir, DevError};

/// A certificate and its private key in PEM.
pub(crate) struct EdgeCertificate {
    pub(crate) certificate_pem: String,
    pub(crate) private_key_pem: String,
}

/// The file that contains the certificate and the key.
pub(crate) const CERTIFICATE_FILE: &str = "edge.pem";
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Returns the certificate of an earlier start, or creates a self-signed one for `localhost` and
/// `127.0.0.1`. Both PEM texts are in one file, so that they always belong together.
pub(crate) fn certificate(dir: &DataDir) -> Result<EdgeCertificate, DevError> {
    let pem = match dir.secret(CERTIFICATE_FILE, self_signed)? {
        pem if pem.contains("BEGIN CERTIFICATE") => pem,
        _ => return Err(DevError::Damaged { path: dir.join(CERTIFICATE_FILE) }),
    };
    let split = pem
        .find("-----BEGIN PRIVATE KEY")
        .ok_or_else(|| DevError::Damaged { path: dir.join(CERTIFICATE_FILE) })?;
    let (certificate, key) = pem.split_at(split);
    Ok(EdgeCertificate { certificate_pem: certificate.to_owned(), private_key_pem: key.to_owned() })
}

fn self_signed() -> String {
    let key = KeyPair::generate().expect("the system's random source answers");
    let params =
        CertificateParams::new(NAMES.map(str::to_owned).to_vec()).expect("both names are valid");
    let certificate = params.self_signed(&key).expect("a fresh key signs");
    format!("{}{}", certificate.pem(), key.serialize_pem())
}
