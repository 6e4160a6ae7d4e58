//! From settings to a ledger that may be used: what can never work is refused at the start,
//! what may come by itself is waited for, and both are looked at again from time to time.

use std::fs;
use std::time::Duration;

use gx_fabric_client::{
    Errand, Finding, Ledger, LedgerConfig, Profile, Severity, Signer, pinned_names,
};
use gx_model::{Clock, SignerRole};
use gx_serve::settings::SettingsReport;
use gx_serve::{CancellationToken, HealthBoard, Verdict};
use gx_submitter::Signers;
use rand::rngs::StdRng;
use serde_json::json;

use crate::Failure;

/// A query that changes nothing and that the contracts answer to anybody.
const HARMLESS_QUERY: &str = "AdminContract:GetSystemStatus";
/// The longest that a start waits for the peers' answers.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before what is still open is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Pause after all was well: certificates grow old, and rights are taken away.
const LOOK_ANYWAY: Duration = Duration::from_secs(600);
/// This machine's own table of names.
const TABLE_OF_HOSTS: &str = "/etc/hosts";

/// A ledger's settings, with their files read.
#[derive(Clone)]
pub(crate) struct LedgerAccess {
    profile: Profile,
    development: bool,
    pub(crate) config: LedgerConfig,
    signers: Vec<Signer>,
}

impl LedgerAccess {
    /// Reads what an errand needs: who reads always, who submits only for that.
    ///
    /// # Errors
    /// Everything that is wrong with files and certificates, at once.
    pub(crate) fn read(
        profile: Profile,
        errand: Errand,
        development: bool,
        clock: &Clock,
    ) -> Result<Self, Failure> {
        let roles: &[SignerRole] = match errand {
            Errand::Read => &[SignerRole::PartnerApi],
            Errand::Submit => &[SignerRole::PartnerApi, SignerRole::Admin, SignerRole::SuperAdmin],
        };
        let (mut signers, mut findings) = (Vec::new(), Vec::new());
        for role in roles.iter().copied() {
            let errand = match role {
                SignerRole::PartnerApi => Errand::Read,
                SignerRole::Admin | SignerRole::SuperAdmin => Errand::Submit,
            };
            match profile.identity(role) {
                Ok(identity) => {
                    let source = profile.signer(role).map(|source| source.certificate.name());
                    let setting = source.unwrap_or_default();
                    signers.push(Signer { role, setting, identity, errand });
                }
                Err(wrong) => findings.extend(wrong),
            }
        }
        let config = profile.ledger_config(development).map_err(|wrong| findings.extend(wrong));
        // The same file may serve several roles.
        findings.sort_by(|one, other| (&one.setting, one.code).cmp(&(&other.setting, other.code)));
        findings.dedup_by(|one, other| (&one.setting, one.code) == (&other.setting, other.code));
        let Ok(config) = config else { return Err(refusal(&findings)) };
        let access = Self { profile, development, config, signers };
        findings.extend(access.offline_findings(clock));
        refuse(&findings)?;
        Ok(access)
    }

    /// The client; connects when a call needs it.
    pub(crate) fn ledger(&self, clock: &Clock, rng: StdRng) -> Result<Ledger, Failure> {
        let reader = self.signers.iter().find(|signer| signer.role == SignerRole::PartnerApi);
        let reader = reader.expect("a reader is read for every errand").identity.clone();
        Ledger::new(self.config.clone(), reader, clock.clone(), rng)
            .map_err(|wrong| refusal(&[wrong.finding()]))
    }

    /// Who signs transactions, if that was asked for.
    pub(crate) fn submitters(&self) -> Option<Signers> {
        let of = |role| {
            let signer = self.signers.iter().find(|signer| signer.role == role);
            signer.map(|signer| signer.identity.clone())
        };
        Some(Signers { admin: of(SignerRole::Admin)?, super_admin: of(SignerRole::SuperAdmin)? })
    }

    /// Each signer, for a person to read.
    pub(crate) fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Everything that is wrong now. A ledger that does not answer is one finding.
    pub(crate) async fn findings(&self, ledger: &Ledger, clock: &Clock) -> Vec<Finding> {
        let mut findings = self.offline_findings(clock);
        findings.extend(ledger.preflight(&self.signers, HARMLESS_QUERY).await);
        findings
    }

    /// What can be told without asking anybody.
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
            && let Ok(hosts) = fs::read_to_string(TABLE_OF_HOSTS)
        {
            findings.extend(pinned_names(&hosts, &self.config.peers));
        }
        findings
    }

    /// Refuses the start where something will not work until a setting is changed. A ledger
    /// that is away is no reason (RDY-07), but what was found until it fell silent is one.
    pub(crate) async fn check_at_start(
        &self,
        ledger: &Ledger,
        clock: &Clock,
    ) -> Result<(), Failure> {
        let mut findings = self.offline_findings(clock);
        let asking = ledger.preflight_into(&self.signers, HARMLESS_QUERY, &mut findings);
        if tokio::time::timeout(START_PATIENCE, asking).await.is_err() {
            tracing::warn!(
                waited_s = START_PATIENCE.as_secs(),
                "not every peer has answered about the signers yet; they are asked again"
            );
        }
        refuse(&findings)
    }

    /// Looks again and again, and reports as the check `ledgerSettings`.
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
                check.set(verdict(&findings));
                let open = findings.iter().any(|finding| finding.severity != Severity::Warning);
                tokio::time::sleep(if open { LOOK_AGAIN } else { LOOK_ANYWAY }).await;
            }
        };
        shutdown.run_until_cancelled(watching).await;
    }
}

fn verdict(findings: &[Finding]) -> Verdict {
    if findings.is_empty() {
        return Verdict::healthy();
    }
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    let value = json!({ "codes": codes });
    match findings.iter().all(|finding| finding.severity == Severity::Warning) {
        true => Verdict::healthy().with_message(lines.join("; ")).with_value(value),
        false => Verdict::unhealthy(lines.join("; ")).with_value(value),
    }
}

/// When a signer's certificate ends, in seconds since 1970.
#[allow(clippy::cast_precision_loss, reason = "a gauge is for looking at")]
fn show_expiry(signer: &Signer) {
    metrics::gauge!("gx_signer_certificate_expires_at_seconds", "role" => signer.role.attribute())
        .set(signer.identity.not_after().unix_timestamp() as f64);
}

/// Logs each finding under its code, and fails where one refuses the start.
fn refuse(findings: &[Finding]) -> Result<(), Failure> {
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Refused) {
        tracing::warn!(
            class = finding.code,
            setting = finding.setting,
            identity = finding.identity,
            peer = finding.peer,
            "{}",
            finding.message
        );
    }
    match findings.iter().any(|finding| finding.severity == Severity::Refused) {
        true => Err(refusal(findings)),
        false => Ok(()),
    }
}

fn refusal(findings: &[Finding]) -> Failure {
    let refused = findings.iter().filter(|finding| finding.severity == Severity::Refused);
    let mut lines = Vec::new();
    for finding in refused {
        tracing::error!(
            class = finding.code,
            setting = finding.setting,
            identity = finding.identity,
            peer = finding.peer,
            "{}",
            finding.message
        );
        lines.push(finding.to_string());
    }
    SettingsReport::of(lines).map_or_else(Failure::new, |()| Failure::say("the ledger is refused"))
}
