//! Reads and checks the settings of the ledger. Called by both workers, by `gx fabric check` and by
//! `gx projection`.
//!
//! Settings that cannot work are refused at the start. A ledger that is down is waited for. Both
//! are checked again while the process runs.

use std::fs;
use std::time::Duration;

use gx_fabric_client::{
    Finding, Ledger, LedgerConfig, Profile, Severity, Signer, SignerUse, pinned_names,
};
use gx_model::{Clock, SignerRole};
use gx_serve::settings::SettingsReport;
use gx_serve::telemetry::as_gauge;
use gx_serve::{CancellationToken, CheckResult, HealthBoard};
use gx_submitter::Signers;
use rand::rngs::StdRng;
use serde_json::json;

use crate::CliError;

/// A query that every signer may send and that changes nothing.
const HARMLESS_QUERY: &str = "AdminContract:GetSystemStatus";
/// Longest wait of a start for the peers' answers.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two checks while a finding is more than a warning.
const RECHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Pause between two checks while all is well: certificates expire, and rights are revoked.
const HEALTHY_RECHECK_INTERVAL: Duration = Duration::from_secs(600);
/// The file of host names that this machine resolves itself.
const HOSTS_FILE: &str = "/etc/hosts";

/// The settings of a ledger, with the certificates and keys of their files.
#[derive(Clone)]
pub(crate) struct LedgerConnection {
    profile: Profile,
    development: bool,
    pub(crate) config: LedgerConfig,
    signers: Vec<Signer>,
}

impl LedgerConnection {
    /// Reads the settings and files, and checks what needs no connection. The signer that reads is
    /// always read, the signers that submit only for [`SignerUse::Submit`].
    ///
    /// # Errors
    /// One error that lists everything that is wrong with files and certificates.
    pub(crate) fn read(
        profile: Profile,
        signer_use: SignerUse,
        development: bool,
        clock: &Clock,
    ) -> Result<Self, CliError> {
        let roles: &[SignerRole] = match signer_use {
            SignerUse::Read => &[SignerRole::PartnerApi],
            SignerUse::Submit => {
                &[SignerRole::PartnerApi, SignerRole::Admin, SignerRole::SuperAdmin]
            }
        };
        let (mut signers, mut findings) = (Vec::new(), Vec::new());
        for role in roles.iter().copied() {
            let signer_use = match role {
                SignerRole::PartnerApi => SignerUse::Read,
                SignerRole::Admin | SignerRole::SuperAdmin => SignerUse::Submit,
            };
            match profile.identity(role) {
                Ok(identity) => {
                    let source = profile.signer(role).map(|source| source.certificate.name());
                    let setting = source.unwrap_or_default();
                    signers.push(Signer { role, setting, identity, signer_use });
                }
                Err(wrong) => findings.extend(wrong),
            }
        }
        let config = profile.ledger_config(development).map_err(|wrong| findings.extend(wrong));
        // Several roles may use the same file.
        findings.sort_by(|one, other| (&one.setting, one.code).cmp(&(&other.setting, other.code)));
        findings.dedup_by(|one, other| (&one.setting, one.code) == (&other.setting, other.code));
        let Ok(config) = config else { return Err(refused_error(&findings)) };
        let connection = Self { profile, development, config, signers };
        findings.extend(connection.offline_findings(clock));
        fail_if_refused(&findings)?;
        Ok(connection)
    }

    /// Returns a client of the ledger, which connects at its first call.
    pub(crate) fn ledger(&self, clock: &Clock, rng: StdRng) -> Result<Ledger, CliError> {
        let reader = self.signers.iter().find(|signer| signer.role == SignerRole::PartnerApi);
        let reader = reader.expect("`read` always reads the reader").identity.clone();
        Ledger::new(self.config.clone(), reader, clock.clone(), rng)
            .map_err(|wrong| refused_error(&[wrong.finding()]))
    }

    /// Returns the signers of transactions, or `None` if the connection only reads.
    pub(crate) fn submitters(&self) -> Option<Signers> {
        let of = |role| {
            let signer = self.signers.iter().find(|signer| signer.role == role);
            signer.map(|signer| signer.identity.clone())
        };
        Some(Signers { admin: of(SignerRole::Admin)?, super_admin: of(SignerRole::SuperAdmin)? })
    }

    /// Returns all signers.
    pub(crate) fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Returns everything that is wrong now. A ledger that does not answer is one finding.
    pub(crate) async fn findings(&self, ledger: &Ledger, clock: &Clock) -> Vec<Finding> {
        let mut findings = self.offline_findings(clock);
        findings.extend(ledger.preflight(&self.signers, HARMLESS_QUERY).await);
        findings
    }

    /// Returns the findings that need no connection.
    fn offline_findings(&self, clock: &Clock) -> Vec<Finding> {
        let mut findings = Vec::new();
        for signer in &self.signers {
            show_expiry(signer);
            findings.extend(self.profile.certificate_findings(
                signer.role,
                &signer.identity,
                clock.now(),
                self.development,
            ));
        }
        if !self.development
            && let Ok(hosts) = fs::read_to_string(HOSTS_FILE)
        {
            findings.extend(pinned_names(&hosts, &self.config.peers));
        }
        findings
    }

    /// Fails if a finding can only be corrected by changing a setting. A ledger that does not
    /// answer is no such finding (RDY-07); findings from before it stopped answering are used.
    pub(crate) async fn check_at_start(
        &self,
        ledger: &Ledger,
        clock: &Clock,
    ) -> Result<(), CliError> {
        let mut findings = self.offline_findings(clock);
        let asking = ledger.preflight_into(&self.signers, HARMLESS_QUERY, &mut findings);
        if tokio::time::timeout(START_TIMEOUT, asking).await.is_err() {
            let peers = self.config.peers.iter().map(|peer| peer.endpoint.as_str());
            let peer = peers.collect::<Vec<_>>().join(", ");
            tracing::warn!(
                waited_s = START_TIMEOUT.as_secs(),
                peer,
                "the check of the signers was not answered in full by {peer}; the check is repeated"
            );
        }
        fail_if_refused(&findings)
    }

    /// Repeats the check until shutdown, and shows the findings as the health check
    /// `ledgerSettings`.
    pub(crate) async fn watch(
        self,
        ledger: Ledger,
        clock: Clock,
        board: HealthBoard,
        shutdown: CancellationToken,
    ) {
        let check = board.check("ledgerSettings", false);
        let watching = async {
            loop {
                let findings = self.findings(&ledger, &clock).await;
                check.set(check_result(&findings));
                let open = findings.iter().any(|finding| finding.severity != Severity::Warning);
                tokio::time::sleep(if open { RECHECK_INTERVAL } else { HEALTHY_RECHECK_INTERVAL })
                    .await;
            }
        };
        shutdown.run_until_cancelled(watching).await;
    }
}

/// Returns the result for the health check: unhealthy if a finding is more than a warning.
fn check_result(findings: &[Finding]) -> CheckResult {
    if findings.is_empty() {
        return CheckResult::healthy();
    }
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    let value = json!({ "codes": codes });
    match findings.iter().all(|finding| finding.severity == Severity::Warning) {
        true => CheckResult::healthy().with_message(lines.join("; ")).with_value(value),
        false => CheckResult::unhealthy(lines.join("; ")).with_value(value),
    }
}

/// Sets the gauge of the end of a signer's certificate, in seconds since 1970.
fn show_expiry(signer: &Signer) {
    metrics::gauge!("gx_signer_certificate_expires_at_seconds", "role" => signer.role.attribute())
        .set(as_gauge(signer.identity.not_after().unix_timestamp()));
}

/// Logs each finding with its code, and fails if one of them refuses the start.
fn fail_if_refused(findings: &[Finding]) -> Result<(), CliError> {
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Refused) {
        tracing::warn!(
            finding = finding.code,
            setting = finding.setting,
            signer = finding.identity,
            peer = finding.peer,
            "{}",
            finding.message
        );
    }
    match findings.iter().any(|finding| finding.severity == Severity::Refused) {
        true => Err(refused_error(findings)),
        false => Ok(()),
    }
}

/// Logs the findings that refuse the start and returns them as one error.
fn refused_error(findings: &[Finding]) -> CliError {
    let refused = findings.iter().filter(|finding| finding.severity == Severity::Refused);
    let mut lines = Vec::new();
    for finding in refused {
        tracing::error!(
            finding = finding.code,
            setting = finding.setting,
            signer = finding.identity,
            peer = finding.peer,
            "{}; correct the settings of the ledger, and start again",
            finding.message
        );
        lines.push(finding.to_string());
    }
    SettingsReport::of(lines).map_or_else(CliError::from, |()| {
        CliError::message(
            "the settings of the ledger are refused; correct what `gx fabric check` finds",
        )
    })
}
