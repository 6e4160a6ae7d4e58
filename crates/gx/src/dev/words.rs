//! What the development stack tells: the `env` file, and what a person reads.

use gx_db::cluster::PrivateCluster;

use super::first_start::{ADMIN_EMAIL, ADMIN_PASSWORD_FILE};
use super::stack::ENV;
use super::{DataDir, Ports};

/// The shell exports of the `env` file.
pub(super) fn environment(cluster: &PrivateCluster, ports: Ports, password: &str) -> String {
    let exports = [
        ("DATABASE_URL", cluster.url()),
        ("GX_IDENTITY_URL", format!("http://{}", ports.identity())),
        ("GX_TOKENOMICS_URL", format!("http://{}", ports.tokenomics())),
        ("GX_ADMIN_URL", format!("http://{}", ports.admin())),
        ("GX_EDGE_URL", format!("https://localhost:{}", ports.edge().port())),
        ("GX_ADMIN_EMAIL", ADMIN_EMAIL.to_owned()),
        ("GX_ADMIN_PASSWORD", password.to_owned()),
    ];
    exports.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect()
}

/// Says that all is ready, what is degraded even so, and where everything is.
pub(super) fn announce(dir: &DataDir, ports: Ports, ledger: &str, degraded: &[String]) {
    println!("GX is ready.");
    for part in degraded {
        println!("  degraded        {part}");
    }
    println!("  svc-identity    http://{}", ports.identity());
    println!("  svc-tokenomics  http://{}", ports.tokenomics());
    println!("  svc-admin       http://{}", ports.admin());
    println!("  public HTTPS    https://localhost:{}", ports.edge().port());
    println!("  ledger          {ledger}");
    println!("  settings        . {}", dir.join(ENV).display());
    println!(
        "  administrator   {ADMIN_EMAIL}, password in {}",
        dir.join(ADMIN_PASSWORD_FILE).display()
    );
    println!("Try: curl http://{}/health", ports.identity());
}
