//! The package that an operator installs on a peer. It says where the service listens. Made by
//! `gx chaincode package`.
//!
//! The package id contains a hash of the package, so the same settings must give the same bytes on
//! every machine and with every release: times and owners are zero, and nothing is compressed.

use gx_fabric_proto::{PemError, TlsPair, certificates_in, certificates_pem};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Limit of a label in bytes, because a peer uses it as a file name.
const MAX_LABEL_BYTES: usize = 100;
/// Time after which a peer stops connecting and fails the transaction.
const DIAL_TIMEOUT: &str = "10s";
/// Number of bytes of a tar header; contents are padded to multiples of it.
const TAR_BLOCK: usize = 512;
/// Limit of a stored deflate block in bytes.
const STORED_BLOCK_BYTES: usize = 65_535;

/// The address and the certificates with which a peer connects to the service.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The `host:port` to which the peer connects.
    pub address: String,
    /// The roots of the service's certificate, in PEM. If `None`, the peer uses no TLS.
    pub root_pem: Option<String>,
    /// The certificate and key that the peer presents, in PEM; for services that require it.
    pub client: Option<(String, String)>,
}

/// The package for `peer lifecycle chaincode install`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The content of the file, a `.tar.gz`.
    pub bytes: Vec<u8>,
    /// The package id that a peer computes.
    pub id: String,
}

/// Why a package cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The label is not valid for a peer.
    #[error(
        "a label starts with a letter or digit, goes on with those and . + - _, and has at most \
         {MAX_LABEL_BYTES} characters; correct `--label`"
    )]
    Label,
    /// The roots of the service's certificate cannot be used.
    #[error("the roots of the service's certificate cannot be used: {0}; correct `--root-cert`")]
    Roots(PemError),
    /// The certificate or key that peers present cannot be used.
    #[error(
        "the certificate that peers present cannot be used: {0}; correct `--client-cert` and \
         `--client-key`"
    )]
    Client(PemError),
    /// A client certificate is given without TLS.
    #[error(
        "a client certificate needs the roots of the service's certificate, too; add `--root-cert`"
    )]
    ClientWithoutTls,
}

impl Package {
    /// Returns the package with this label.
    ///
    /// # Errors
    /// [`PackageError`] if the label or a certificate cannot be used.
    pub fn new(label: &str, connection: &Connection) -> Result<Self, PackageError> {
        if !is_label(label) {
            return Err(PackageError::Label);
        }
        if connection.client.is_some() && connection.root_pem.is_none() {
            return Err(PackageError::ClientWithoutTls);
        }
        let code = gzip(&tar(&[("connection.json", &connection.json()?)]));
        let metadata = json(&Metadata { path: "", kind: "ccaas", label });
        let bytes = gzip(&tar(&[("metadata.json", &metadata), ("code.tar.gz", &code)]));
        let hash = Sha256::digest(&bytes);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id: format!("{label}:{hash}"), bytes })
    }
}

/// The file that a peer reads first. The order of the fields affects the package's hash.
#[derive(Serialize)]
struct Metadata<'a> {
    path: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    label: &'a str,
}

/// The file with the connection settings. The order of the fields affects the package's hash.
#[derive(Serialize)]
struct ConnectionFile<'a> {
    address: &'a str,
    dial_timeout: &'a str,
    tls_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_cert: Option<&'a str>,
    client_auth_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_cert: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<&'a str>,
}

impl Connection {
    /// Encodes the connection file. The package leaves this machine, so certificates and key are
    /// encoded again and nothing else of their files is included.
    fn json(&self) -> Result<Vec<u8>, PackageError> {
        let roots = self.root_pem.as_deref().map(certificates_in).transpose();
        let roots = roots.map_err(PackageError::Roots)?.map(|roots| certificates_pem(&roots));
        let client = self.client.as_ref().map(|(certificate, key)| TlsPair::read(certificate, key));
        let client = client.transpose().map_err(PackageError::Client)?;
        let (client_cert, client_key) =
            client.map(|pair| (pair.chain_pem(), pair.key_pem())).unzip();
        Ok(json(&ConnectionFile {
            address: &self.address,
            dial_timeout: DIAL_TIMEOUT,
            tls_required: roots.is_some(),
            root_cert: roots.as_deref(),
            client_auth_required: client_cert.is_some(),
            client_cert: client_cert.as_deref(),
            client_key: client_key.as_deref(),
        }))
    }
}

fn json(file: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(file).expect("the files have only text keys")
}

/// Returns whether a peer accepts the label.
fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
    label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.chars().all(allowed)
        && label.len() <= MAX_LABEL_BYTES
}

/// Returns a tar archive in the ustar format.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = vec![];
    for (name, content) in files {
        archive.extend(tar_header(name, content.len()));
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(TAR_BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * TAR_BLOCK, 0);
    archive
}

/// Returns the header of a file whose owner and time are zero.
fn tar_header(name: &str, size: usize) -> [u8; TAR_BLOCK] {
    let mut header = [0; TAR_BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    // The checksum is computed with spaces in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Returns a gzip file with uncompressed content.
fn gzip(content: &[u8]) -> Vec<u8> {
    // Magic number, deflate, no flags, no time, no extra flags, unknown operating system.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = content.chunks(STORED_BLOCK_BYTES).peekable();
    while let Some(block) = blocks.next() {
        file.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).expect("a block is at most 65 535 bytes");
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend_from_slice(block);
    }
    let length = u32::try_from(content.len()).expect("a package is a few kilobytes");
    file.extend(crc32(content).to_le_bytes());
    file.extend(length.to_le_bytes());
    file
}

/// Returns the CRC-32 of gzip. The bitwise loop is fast enough for packages of a few kilobytes.
fn crc32(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0xedb8_8320;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { REVERSED_POLYNOMIAL } else { 0 };
            crc = (crc >> 1) ^ carry;
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_the_one_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
