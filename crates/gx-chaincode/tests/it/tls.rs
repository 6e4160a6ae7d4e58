//! Which peers may connect, and the errors of unusable files.

use std::fs;
use std::path::PathBuf;

use gx_chaincode::TlsFiles;
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::peer::Peer;
use crate::service::{Authority, Service};

struct Files {
    folder: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new() };
        let (certificate, key) = files.authority.issue();
        files.write("tls.pem", &certificate);
        files.write("tls.key", &key);
        files.write("roots.pem", &files.authority.pem());
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn tls(&self, client_roots: bool) -> TlsFiles {
        let file = |name| self.folder.path().join(name);
        TlsFiles {
            certificate: file("tls.pem"),
            key: file("tls.key"),
            client_roots: client_roots.then(|| file("roots.pem")),
        }
    }

    /// Returns whether a peer with this identity can connect and gets the registration.
    async fn connects(&self, service: &Service, identity: Option<(String, String)>) -> bool {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.authority.pem()))
            .domain_name("localhost");
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", service.address)).unwrap();
        Peer::registered(endpoint.tls_config(tls).unwrap().connect_lazy()).await.is_ok()
    }
}

#[tokio::test]
async fn with_tls_alone_every_peer_may_connect() {
    let files = Files::new();
    let service = Service::with_tls(Some(files.tls(false))).await.unwrap();
    assert!(files.connects(&service, None).await);
}

#[tokio::test]
async fn with_client_roots_a_peer_must_show_its_certificate() {
    let files = Files::new();
    let service = Service::with_tls(Some(files.tls(true))).await.unwrap();
    assert!(!files.connects(&service, None).await);
    assert!(!files.connects(&service, Some(Authority::new().issue())).await);
    assert!(files.connects(&service, Some(files.authority.issue())).await);
}

#[tokio::test]
async fn unusable_files_are_named() {
    let files = Files::new();
    let absent = TlsFiles { key: files.folder.path().join("absent.key"), ..files.tls(false) };
    let error = Service::with_tls(Some(absent)).await.err().unwrap().to_string();
    assert!(error.contains("absent.key` cannot be read"), "{error}");

    let (_, other) = files.authority.issue();
    let mixed = TlsFiles { key: files.write("other.key", &other), ..files.tls(false) };
    let error = Service::with_tls(Some(mixed)).await.err().unwrap().to_string();
    assert!(error.contains("other.key` are not a pair"), "{error}");

    let no_roots = files.write("no-roots.pem", "no certificate at all");
    let no_roots = TlsFiles { client_roots: Some(no_roots), ..files.tls(true) };
    let error = Service::with_tls(Some(no_roots)).await.err().unwrap().to_string();
    assert!(error.contains("no-roots.pem` cannot be used"), "{error}");
}

/// FAB-15: a certificate file that also has the key is refused. A file with the chain in any order
/// is served with the certificate of the key first.
#[tokio::test]
async fn fab_15_a_certificate_file_with_the_key_in_it_is_refused() {
    let files = Files::new();
    let (certificate, key) = files.authority.issue();
    files.write("tls.key", &key);
    files.write("tls.pem", &format!("{key}{certificate}"));
    let error = Service::with_tls(Some(files.tls(false))).await.err().unwrap();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("tls.pem") && why.contains("private key"), "{error}: {why}");

    files.write("tls.pem", &format!("{}{certificate}", files.authority.pem()));
    let service = Service::with_tls(Some(files.tls(false))).await.unwrap();
    assert!(files.connects(&service, None).await);
}
