//! Finding out, before anything depends on it, whether peers and channel serve the signers.

use gx_model::SignerRole;
use tokio::time::Instant;

use crate::connect::ConnectFault;
use crate::deliver;
use crate::error::{Cause, LedgerError, Phase};
use crate::finding::{Finding, Severity};
use crate::heights::PeerHeight;
use crate::identity::Identity;
use crate::ledger::Ledger;

/// What a signer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Evaluations and blocks.
    Read,
    /// Evaluations and transactions.
    Submit,
}

/// An identity and what it is for.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The role in which it signs.
    pub role: SignerRole,
    /// The setting that names its certificate.
    pub setting: String,
    /// Who signs.
    pub identity: Identity,
    /// What for.
    pub errand: Errand,
}

impl Ledger {
    /// Connects to every peer and does, without effect, what each signer will do. `query` is
    /// a function without arguments that changes nothing. Empty when all is well.
    pub async fn preflight(&self, signers: &[Signer], query: &str) -> Vec<Finding> {
        let heights = self.heights().await;
        let mut findings: Vec<Finding> = heights
            .iter()
            .filter_map(|peer| Some((peer, peer.height.as_ref().err()?)))
            // What a peer thinks of the reader is said below, with the signer's name.
            .filter(|(_, error)| error.phase == Phase::Connect || is_about_peer(error))
            .map(|(peer, error)| peer_finding(error, peer.own))
            .collect();
        let serves = |peer: &PeerHeight| !is_away(&peer.height) && !lacks_channel(&peer.height);
        if heights.iter().any(|peer| peer.own && serves(peer)) {
            for signer in signers {
                for finding in self.signer_findings(signer, query).await {
                    // What is nobody's fault in particular is said once.
                    if findings.iter().all(|known| !is_same_trouble(known, &finding)) {
                        findings.push(finding);
                    }
                }
            }
        }
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    async fn signer_findings(&self, signer: &Signer, query: &str) -> Vec<Finding> {
        let identity = &signer.identity;
        let evaluate = self.may_evaluate(identity, query).await;
        let other = match signer.errand {
            Errand::Read => self.may_read_blocks(identity).await,
            Errand::Submit => self.may_submit(identity, query).await,
        };
        let mut findings: Vec<Finding> = Vec::new();
        for error in [evaluate.err(), other.err()].into_iter().flatten() {
            let finding = signer_finding(&error);
            let finding = match finding.severity {
                Severity::Refused => {
                    finding.of_identity(signer.role.attribute()).in_setting(&signer.setting)
                }
                Severity::Waiting | Severity::Warning => finding,
            };
            if findings.iter().all(|known| known.code != finding.code) {
                findings.push(finding);
            }
        }
        findings
    }

    pub(crate) async fn may_evaluate(
        &self,
        signer: &Identity,
        query: &str,
    ) -> Result<(), LedgerError> {
        self.evaluate_as(signer, query, &[]).await.map(|_| ())
    }

    /// A peer asks for the same right for an endorsement as for a submission.
    pub(crate) async fn may_submit(
        &self,
        signer: &Identity,
        query: &str,
    ) -> Result<(), LedgerError> {
        self.endorse(signer, query, &[]).await.map(|_| ())
    }

    /// Asks the first trusted peer to which there is a connection.
    pub(crate) async fn may_read_blocks(&self, signer: &Identity) -> Result<(), LedgerError> {
        let mut answer = Ok(());
        for peer in self.trusted() {
            let deadline = Instant::now() + self.limits().height_timeout;
            let seek = self.seek(signer, deliver::newest());
            answer = deliver::height_of(peer, seek, deadline).await.map(|_| ());
            if !is_away(&answer) {
                break;
            }
        }
        answer
    }
}

fn is_away<T>(answer: &Result<T, LedgerError>) -> bool {
    answer.as_ref().is_err_and(|error| error.phase == Phase::Connect)
}

fn lacks_channel<T>(answer: &Result<T, LedgerError>) -> bool {
    answer.as_ref().is_err_and(is_about_peer)
}

fn is_same_trouble(known: &Finding, new: &Finding) -> bool {
    known.code == new.code && new.identity.is_none()
}

fn is_about_peer(error: &LedgerError) -> bool {
    matches!(error.cause, Some(Cause::NoChannel | Cause::NotAPeer))
}

/// Calls go to our own organisation's peers alone. What is wrong with another's is no reason
/// not to start, unless it is our resolver that leads to ourselves.
fn peer_finding(error: &LedgerError, own: bool) -> Finding {
    let finding = Finding::from_error(error);
    let ours = own || error.connect == Some(ConnectFault::Loopback);
    match finding.severity {
        Severity::Refused if !ours => Finding { severity: Severity::Warning, ..finding },
        _ => finding,
    }
}

/// A chaincode may still be on its way into the channel.
fn signer_finding(error: &LedgerError) -> Finding {
    let finding = Finding::from_error(error);
    match error.cause {
        Some(Cause::NoChaincode | Cause::NoEndorser) => {
            Finding { severity: Severity::Waiting, ..finding }
        }
        _ => finding,
    }
}
