//! The texts with which a started development stack tells its addresses and passwords: the `env`
//! file, and the lines on standard output. Called by `stack` when all parts are ready.

use std::path::Path;

use gx_db::cluster::PrivateCluster;

use super::documents::StackDocuments;
use super::first_start::{ADMIN_EMAIL, ADMIN_PASSWORD_FILE};
use super::mail_pages::MAIL_DIR;
use super::{DataDir, Ports};
use crate::print::out;

/// File with shell exports.
pub(crate) const ENV_FILE: &str = "env";

/// Returns the content of the `env` file: shell exports of the settings by which commands of `gx`
/// act on this stack, of its addresses and of the first administrator.
pub(super) fn environment(
    cluster: &PrivateCluster,
    ports: Ports,
    password: &str,
    master_keys: &Path,
    documents: &StackDocuments,
) -> String {
    let days = documents.retention.retention_documents_days;
    let exports = [
        ("DATABASE_URL", cluster.url()),
        ("GX_MASTER_KEY_FILE", master_keys.display().to_string()),
        ("GX_DOCUMENT_STORE", documents.store.display().to_string()),
        ("GX_KEY_STORE", documents.keys.display().to_string()),
        ("GX_RETENTION_DOCUMENTS_DAYS", days.to_string()),
        ("GX_IDENTITY_URL", format!("http://{}", ports.identity())),
        ("GX_TOKENOMICS_URL", format!("http://{}", ports.tokenomics())),
        ("GX_ADMIN_URL", format!("http://{}", ports.admin())),
        ("GX_EDGE_URL", format!("https://localhost:{}", ports.edge().port())),
        ("GX_ADMIN_EMAIL", ADMIN_EMAIL.to_owned()),
        ("GX_ADMIN_PASSWORD", password.to_owned()),
    ];
    exports.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect()
}

/// Prints that the stack is ready, which parts are degraded, and all addresses.
pub(super) fn announce(dir: &DataDir, ports: Ports, ledger: &str, degraded: &[String]) {
    let mut lines = vec!["GX is ready.".to_owned()];
    lines.extend(degraded.iter().map(|part| format!("  degraded        {part}")));
    lines.extend([
        format!("  svc-identity    http://{}", ports.identity()),
        format!("  svc-tokenomics  http://{}", ports.tokenomics()),
        format!("  svc-admin       http://{}", ports.admin()),
        format!("  public HTTPS    https://localhost:{}", ports.edge().port()),
        format!(
            "  mail            {}, https://localhost:{}/dev/mail",
            dir.join(MAIL_DIR).display(),
            ports.edge().port()
        ),
        format!("  ledger          {ledger}"),
        format!("  settings        . {}", dir.join(ENV_FILE).display()),
        format!(
            "  administrator   {ADMIN_EMAIL}, password in {}",
            dir.join(ADMIN_PASSWORD_FILE).display()
        ),
        format!("Try: curl http://{}/health", ports.identity()),
    ]);
    // The stack goes on if standard output is closed.
    let _unread = out(&lines.join("\n"));
}
