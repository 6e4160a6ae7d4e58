//! Checks whether peers and channel serve the signers. Called by `gx` at the start, repeatedly
//! after it, and by `gx fabric check`.

use gx_ledger_api::SignerRole;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connect::ConnectFault;
use crate::deliver;
use crate::error::{Cause, LedgerError, Phase};
use crate::finding::{Finding, Severity};
use crate::heights::PeerHeight;
use crate::identity::Identity;
use crate::ledger::Ledger;
use crate::outcome_class::OutcomeClass;

/// What a signer signs, apart from evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerUse {
    /// Requests for blocks.
    Read,
    /// Transactions.
    Submit,
}

impl SignerUse {
    /// Returns the right that is needed for this use, apart from evaluating.
    fn right(self) -> Right {
        match self {
            Self::Read => Right::Blocks,
            Self::Submit => Right::Submit,
        }
    }
}

/// A right that a signer needs.
#[derive(Clone, Copy)]
enum Right {
    Evaluate,
    Submit,
    Blocks,
}

/// An identity with its role and use.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The role in which it signs.
    pub role: SignerRole,
    /// The setting that names its certificate.
    pub setting: String,
    /// The identity.
    pub identity: Identity,
    /// What it signs.
    pub signer_use: SignerUse,
}

impl Ledger {
    /// Connects to every peer and tries every call of each signer without effect. `query` is a
    /// function that has no arguments and changes nothing. Returns no findings if everything works,
    /// and only those about peers if none of ours can serve.
    pub async fn preflight(&self, signers: &[Signer], query: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.preflight_into(signers, query, &mut findings).await;
        findings
    }

    /// Like [`Ledger::preflight`], for callers with a time limit: findings are added to `findings`
    /// as soon as they are made, sorted, and remain if the future is dropped.
    pub async fn preflight_into(
        &self,
        signers: &[Signer],
        query: &str,
        findings: &mut Vec<Finding>,
    ) {
        let heights = self.heights().await;
        let some_own_peer_may_serve =
            heights.iter().any(|peer| peer.own && !is_about_peer(&peer.height));
        let about_peers = heights
            .iter()
            .filter_map(|peer| Some((peer, peer.height.as_ref().err()?)))
            // Errors about the reader's identity are reported below, with the signer.
            .filter(|(peer, error)| error.phase == Phase::Connect || is_about_peer(&peer.height))
            .map(|(peer, error)| peer_finding(error, peer.own, some_own_peer_may_serve));
        findings.extend(about_peers);
        sort(findings);
        let serves = |peer: &PeerHeight| !is_away(&peer.height) && !is_about_peer(&peer.height);
        if !heights.iter().any(|peer| peer.own && serves(peer)) {
            return;
        }
        // All at once, so that a slow answer for one signer does not delay the findings of another.
        let mut questions = JoinSet::new();
        for signer in signers {
            for right in [Right::Evaluate, signer.signer_use.right()] {
                let (ledger, signer, query) = (self.clone(), signer.clone(), query.to_owned());
                questions.spawn(async move { ledger.right_finding(&signer, right, &query).await });
            }
        }
        while let Some(answer) = questions.join_next().await {
            let Some(finding) = answer.expect("a question neither panics nor is cancelled") else {
                continue;
            };
            if findings.iter().all(|known| !is_same_trouble(known, &finding)) {
                findings.push(finding);
                sort(findings);
            }
        }
    }

    /// Tries one call of a signer. Returns `None` if it succeeds.
    async fn right_finding(&self, signer: &Signer, right: Right, query: &str) -> Option<Finding> {
        let identity = &signer.identity;
        let answer = match right {
            Right::Evaluate => self.may_evaluate(identity, query).await,
            Right::Submit => self.may_submit(identity, query).await,
            Right::Blocks => self.may_read_blocks(identity).await,
        };
        let error = answer.err()?;
        if lacks_contracts(&error) {
            return Some(no_contracts(self.chaincode(), &error));
        }
        let finding = signer_finding(&error);
        Some(match finding.severity {
            Severity::Refused => {
                finding.of_identity(signer.role.attribute()).in_setting(&signer.setting)
            }
            Severity::Waiting | Severity::Warning => finding,
        })
    }

    /// Tries an evaluation.
    pub(crate) async fn may_evaluate(
        &self,
        signer: &Identity,
        query: &str,
    ) -> Result<(), LedgerError> {
        self.evaluate_as(signer, query, &[]).await.map(|_| ())
    }

    /// Tries an endorsement. A peer requires the same right for it as for a submission.
    pub(crate) async fn may_submit(
        &self,
        signer: &Identity,
        query: &str,
    ) -> Result<(), LedgerError> {
        self.endorse(signer, query, &[]).await.map(|_| ())
    }

    /// Asks for the newest block at our first peer that can answer.
    pub(crate) async fn may_read_blocks(&self, signer: &Identity) -> Result<(), LedgerError> {
        let mut answer = Ok(());
        for peer in self.trusted() {
            let deadline = Instant::now() + self.limits().height_timeout;
            let seek = self.seek(signer, deliver::newest());
            answer = deliver::height_of(peer, seek, deadline).await.map(|_| ());
            if !is_away(&answer) && !is_about_peer(&answer) {
                break;
            }
        }
        answer
    }
}

/// Returns whether there was no connection.
fn is_away<T>(answer: &Result<T, LedgerError>) -> bool {
    answer.as_ref().is_err_and(|error| error.phase == Phase::Connect)
}

/// Sorts by severity, then in an order that does not depend on who answers first.
fn sort(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        let order = one.severity.cmp(&other.severity);
        order.then_with(|| (&one.identity, one.code).cmp(&(&other.identity, other.code)))
    });
}

/// Returns whether a finding is already listed. A finding about no signer in particular is listed
/// once.
fn is_same_trouble(known: &Finding, new: &Finding) -> bool {
    known.code == new.code && (new.identity.is_none() || new.identity == known.identity)
}

/// Returns whether the peer lacks the channel or is no peer at all.
fn is_about_peer<T>(answer: &Result<T, LedgerError>) -> bool {
    let cause = answer.as_ref().err().and_then(|error| error.cause);
    matches!(cause, Some(Cause::NoChannel | Cause::NotAPeer))
}

/// Returns the finding about a peer. Calls go only to our own organisation's peers, so a problem of
/// another's peer does not prevent the start, unless our resolver leads to this machine. Our peer
/// may still join the channel later if another one of ours may have it.
fn peer_finding(error: &LedgerError, own: bool, some_own_peer_may_serve: bool) -> Finding {
    let finding = Finding::from_error(error);
    let ours = own || error.connect == Some(ConnectFault::Loopback);
    let may_join = error.cause == Some(Cause::NoChannel) && some_own_peer_may_serve;
    match finding.severity {
        Severity::Refused if !ours => Finding { severity: Severity::Warning, ..finding },
        Severity::Refused if may_join => Finding { severity: Severity::Waiting, ..finding },
        _ => finding,
    }
}

/// Returns whether a chaincode answered that does not have the function. The answer cannot contain
/// a user's text, because the query has no arguments.
fn lacks_contracts(error: &LedgerError) -> bool {
    // The contracts answer this query to everybody, so they never refuse it as a wrong request. A
    // failure inside the contracts has status 500, which other chaincodes use for every error.
    error.class == OutcomeClass::Refused
        && error.chaincode_status().is_some_and(|status| {
            let texts = error.details.iter().map(|detail| detail.message.as_str());
            let mut texts = texts.chain([error.message.as_str()]);
            status < 500
                || texts.any(|text| UNKNOWN_FUNCTION.iter().any(|words| text.contains(words)))
        })
}

/// Messages of chaincodes without the function: Fabric's libraries for Node.js, Go and Java, its
/// samples without a library, and the peer's own chaincodes.
const UNKNOWN_FUNCTION: [&str; 9] = [
    "Contract name is not known",
    "function that does not exist",
    "not found in contract",
    "Contract not found",
    "ndefined contract method",
    "nknown function",
    "nvalid invoke function name",
    "nvalid function name",
    "Requested function",
];

/// Returns the finding that refuses the start because of another chaincode under our name.
fn no_contracts(chaincode: &str, error: &LedgerError) -> Finding {
    let message = format!(
        "the chaincode {chaincode} does not have the GX contracts: {error}; name the one \
         that does, or install them under this name"
    );
    let finding = Finding::refused("no_contracts", message);
    Finding { peer: error.peer.clone(), ..finding }
}

/// Returns the finding about a signer. A chaincode may still be added to the channel, so its
/// absence does not prevent the start.
fn signer_finding(error: &LedgerError) -> Finding {
    let finding = Finding::from_error(error);
    match error.cause {
        Some(Cause::NoChaincode | Cause::NoEndorser) => {
            Finding { severity: Severity::Waiting, ..finding }
        }
        _ => finding,
    }
}
