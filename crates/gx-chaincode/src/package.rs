//! The package that an operator installs on a peer: where this service is dialled.
//!
//! Its hash is part of the package id, so the same settings must give the same bytes on every
//! machine and with every version of a compressor: times and owners are zero, and nothing is
//! compressed.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Longest label that a peer takes for a name in its file system.
const MAX_LABEL_BYTES: usize = 100;
/// How long a peer tries to connect before it fails a transaction.
const DIAL_TIMEOUT: &str = "10s";
/// Size of a tar header and the unit of its contents.
const TAR_BLOCK: usize = 512;
/// Most bytes that a stored block of deflate holds.
const STORED_BLOCK_BYTES: usize = 65_535;

/// How a peer reaches the service.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `host:port` as the peer dials it.
    pub address: String,
    /// In PEM, the roots of the service's certificate; without them the peer uses no TLS.
    pub root_pem: Option<String>,
    /// In PEM, the certificate and key that the peer presents, if the service asks for them.
    pub client: Option<(String, String)>,
}

/// What `peer lifecycle chaincode install` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The file's content, a `.tar.gz`.
    pub bytes: Vec<u8>,
    /// The id that a peer gives to it.
    pub id: String,
}

/// Why there can be no such package.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// A peer refuses the label.
    #[error(
        "a label starts with a letter or digit, goes on with those and . + - _, and has at most \
         {MAX_LABEL_BYTES} characters"
    )]
    Label,
    /// A client certificate without TLS.
    #[error("a client certificate needs the roots of the service's certificate too")]
    ClientWithoutTls,
}

impl Package {
    /// Builds the package with this label.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn new(label: &str, connection: &Connection) -> Result<Self, PackageError> {
        if !is_label(label) {
            return Err(PackageError::Label);
        }
        if connection.client.is_some() && connection.root_pem.is_none() {
            return Err(PackageError::ClientWithoutTls);
        }
        let code = gzip(&tar(&[("connection.json", &connection.json())]));
        let metadata = json(&Metadata { path: "", kind: "ccaas", label });
        let bytes = gzip(&tar(&[("metadata.json", &metadata), ("code.tar.gz", &code)]));
        let hash = Sha256::digest(&bytes);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id: format!("{label}:{hash}"), bytes })
    }
}

/// What a peer reads first. The order of the fields is part of the package's hash.
#[derive(Serialize)]
struct Metadata<'a> {
    path: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    label: &'a str,
}

/// What a peer dials by, in a fixed order too.
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
    fn json(&self) -> Vec<u8> {
        json(&ConnectionFile {
            address: &self.address,
            dial_timeout: DIAL_TIMEOUT,
            tls_required: self.root_pem.is_some(),
            root_cert: self.root_pem.as_deref(),
            client_auth_required: self.client.is_some(),
            client_cert: self.client.as_ref().map(|(certificate, _)| certificate.as_str()),
            client_key: self.client.as_ref().map(|(_, key)| key.as_str()),
        })
    }
}

fn json(file: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(file).expect("the files have only text keys")
}

fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
    label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.chars().all(allowed)
        && label.len() <= MAX_LABEL_BYTES
}

/// An archive in the ustar format.
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
    // The checksum is taken with spaces in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A gzip file whose content is stored as it is.
fn gzip(content: &[u8]) -> Vec<u8> {
    // Magic number, deflate, no flags, no time, no hint, unknown system.
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

/// The checksum of gzip, bit by bit: packages are small and rare.
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
