//! Finding out, before anything depends on it, whether peers and channel serve the signers.

use gx_model::SignerRole;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connect::ConnectFault;
use crate::deliver;
use crate::error::{Cause, LedgerError, OutcomeClass, Phase};
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

impl Errand {
    /// What it takes beside evaluations.
    fn right(self) -> Right {
        match self {
            Self::Read => Right::Blocks,
            Self::Submit => Right::Submit,
        }
    }
}

/// One thing that a signer must be able to do.
#[derive(Clone, Copy)]
enum Right {
    Evaluate,
    Submit,
    Blocks,
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
        let mut findings = Vec::new();
        self.preflight_into(signers, query, &mut findings).await;
        findings
    }

    /// [`Ledger::preflight`] for who does not wait for every answer: each finding is there as
    /// soon as it is made, at its place among those that are there, and stays when the future
    /// is dropped.
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
            // What a peer thinks of the reader is said below, with the signer's name.
            .filter(|(peer, error)| error.phase == Phase::Connect || is_about_peer(&peer.height))
            .map(|(peer, error)| peer_finding(error, peer.own, some_own_peer_may_serve));
        findings.extend(about_peers);
        sort(findings);
        let serves = |peer: &PeerHeight| !is_away(&peer.height) && !is_about_peer(&peer.height);
        if !heights.iter().any(|peer| peer.own && serves(peer)) {
            return;
        }
        // All at once: whoever is slow to answer for one signer hides nothing about another.
        let mut questions = JoinSet::new();
        for signer in signers {
            for right in [Right::Evaluate, signer.errand.right()] {
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

    /// Asks the first trusted peer that can tell.
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

fn is_away<T>(answer: &Result<T, LedgerError>) -> bool {
    answer.as_ref().is_err_and(|error| error.phase == Phase::Connect)
}

/// The worst first, and the same order whoever answers first.
fn sort(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        let order = one.severity.cmp(&other.severity);
        order.then_with(|| (&one.identity, one.code).cmp(&(&other.identity, other.code)))
    });
}

/// What is nobody's fault in particular is said once.
fn is_same_trouble(known: &Finding, new: &Finding) -> bool {
    known.code == new.code && (new.identity.is_none() || new.identity == known.identity)
}

fn is_about_peer<T>(answer: &Result<T, LedgerError>) -> bool {
    let cause = answer.as_ref().err().and_then(|error| error.cause);
    matches!(cause, Some(Cause::NoChannel | Cause::NotAPeer))
}

/// Calls go to our own organisation's peers alone. What is wrong with another's is no reason
/// not to start, unless it is our resolver that leads to ourselves. A peer of ours may still
/// have to join the channel, as long as another one may have it.
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

/// Whether it is a chaincode without the function that answered. No user's words can be in
/// what it says: the query has no arguments.
fn lacks_contracts(error: &LedgerError) -> bool {
    // The contracts answer to anybody: to them it cannot be a wrong request. A failure inside
    // them is one of 500, as other chaincodes give for everything.
    error.class == OutcomeClass::Refused
        && error.chaincode_status().is_some_and(|status| {
            let texts = error.details.iter().map(|detail| detail.message.as_str());
            let mut texts = texts.chain([error.message.as_str()]);
            status < 500
                || texts.any(|text| UNKNOWN_FUNCTION.iter().any(|words| text.contains(words)))
        })
}

/// What chaincodes say of a function that they do not have: Fabric's libraries for Node.js, Go
/// and Java, its samples without one, and the peer's own chaincodes.
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

fn no_contracts(chaincode: &str, error: &LedgerError) -> Finding {
    let message = format!(
        "the chaincode {chaincode} answers and has not the GX contracts: name the one that has, \
         or install them under this name: {error}"
    );
    let finding = Finding::refused("no_contracts", message);
    Finding { peer: error.peer.clone(), ..finding }
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
