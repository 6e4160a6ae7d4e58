//! The faults of the control endpoint, as JSON. The handler of `POST /faults` applies each; an
//! error is answered with status 400.

use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use serde::Deserialize;

use crate::faults::{Faults, Forgery, NodeFaults};
use crate::msp::{CHANNEL_MSP_IDS, ORDERER_MSP_ID};

/// The body of `POST /faults`: `{"fault": "fail-endorsements", "count": 2, …}`. The effects are
/// described in `docs/devnet.md` and at the method of [`Faults`] or [`NodeFaults`] with the name of
/// the variant.
///
/// Variants without fields have braces, because serde would otherwise ignore unknown fields.
#[derive(Debug, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Fault {
    HoldCommits {},
    ReleaseCommits {},
    DropSubmitReplies {
        #[serde(default = "once")]
        count: usize,
    },
    WithholdSubmitReplies {
        #[serde(default = "once")]
        count: usize,
    },
    DiscardSubmits {
        #[serde(default = "once")]
        count: usize,
    },
    FailEndorsements {
        #[serde(default = "once")]
        count: usize,
        status: i32,
        message: String,
    },
    DelayEndorsements {
        milliseconds: u64,
    },
    ForceValidationCode {
        #[serde(default = "once")]
        count: usize,
        code: String,
    },
    MismatchEndorsements {
        #[serde(default = "once")]
        count: usize,
    },
    Down {
        node: Option<String>,
        on: bool,
    },
    CountOut {
        node: Option<String>,
    },
    BlackHole {
        node: Option<String>,
        on: bool,
    },
    ResetConnections {
        node: Option<String>,
    },
    EndStreams {
        node: Option<String>,
    },
    MuteStreams {
        node: Option<String>,
        on: bool,
    },
    Unavailable {
        node: Option<String>,
        on: bool,
    },
    TooManyRequests {
        node: Option<String>,
        on: bool,
    },
    ForgeBlocks {
        node: Option<String>,
        from: u64,
        forgery: Forgery,
        on: bool,
    },
}

fn once() -> usize {
    1
}

/// Limit of `count` in one request, because each planned fault takes memory until it occurs.
const MAX_COUNT: usize = 100_000;

impl Fault {
    /// Plans the fault or applies it at once. The error says which value is wrong; nothing has
    /// changed then.
    pub(super) fn apply(self, faults: &Faults) -> Result<(), String> {
        match self {
            Self::HoldCommits {} => faults.hold_commits(),
            Self::ReleaseCommits {} => faults.release_commits(),
            Self::DropSubmitReplies { count } => faults.drop_submit_replies(checked_count(count)?),
            Self::WithholdSubmitReplies { count } => {
                faults.withhold_submit_replies(checked_count(count)?);
            }
            Self::DiscardSubmits { count } => faults.discard_submits(checked_count(count)?),
            Self::FailEndorsements { count, status, message } => {
                faults.fail_endorsements(checked_count(count)?, status, &message);
            }
            Self::DelayEndorsements { milliseconds } => {
                faults.delay_endorsements(Duration::from_millis(milliseconds));
            }
            Self::ForceValidationCode { count, code } => {
                let known = TxValidationCode::from_str_name(&code);
                let code = known.ok_or_else(|| {
                    format!("there is no validation code {code}; write it as MVCC_READ_CONFLICT")
                })?;
                faults.force_validation_code(checked_count(count)?, code);
            }
            Self::MismatchEndorsements { count } => {
                faults.mismatch_endorsements(checked_count(count)?);
            }
            Self::Down { node, on } => {
                apply_to_nodes(faults, node.as_deref(), |node| node.down(on))?;
            }
            Self::CountOut { node } => {
                apply_to_nodes(faults, node.as_deref(), NodeFaults::count_out)?;
            }
            Self::BlackHole { node, on } => {
                apply_to_nodes(faults, node.as_deref(), |node| node.black_hole(on))?;
            }
            Self::ResetConnections { node } => {
                apply_to_nodes(faults, node.as_deref(), NodeFaults::reset_connections)?;
            }
            Self::EndStreams { node } => {
                apply_to_nodes(faults, node.as_deref(), NodeFaults::end_streams)?;
            }
            Self::MuteStreams { node, on } => {
                apply_to_nodes(faults, node.as_deref(), |node| node.mute_streams(on))?;
            }
            Self::Unavailable { node, on } => {
                apply_to_nodes(faults, node.as_deref(), |node| node.unavailable(on))?;
            }
            Self::TooManyRequests { node, on } => {
                apply_to_nodes(faults, node.as_deref(), |node| node.too_many_requests(on))?;
            }
            Self::ForgeBlocks { node, from, forgery, on } => {
                apply_to_nodes(faults, node.as_deref(), |node| {
                    node.forge_blocks(on.then_some((from, forgery)));
                })?;
            }
        }
        Ok(())
    }
}

/// Applies a node's fault to the named node, or to every peer if none is named. The error names the
/// nodes that there are.
fn apply_to_nodes(
    faults: &Faults,
    msp_id: Option<&str>,
    make: impl Fn(&NodeFaults),
) -> Result<(), String> {
    match msp_id {
        None => faults.each_peer(make),
        Some(ORDERER_MSP_ID) => make(&faults.orderer()),
        Some(msp_id) => {
            let peer = faults.peer(msp_id);
            make(&peer.ok_or_else(|| {
                let [first, second] = CHANNEL_MSP_IDS;
                format!("there is no node of {msp_id}; give {first}, {second} or {ORDERER_MSP_ID}")
            })?);
        }
    }
    Ok(())
}

/// Returns the count, or an error if it is too large.
fn checked_count(count: usize) -> Result<usize, String> {
    if count <= MAX_COUNT { Ok(count) } else { Err(format!("count must be at most {MAX_COUNT}")) }
}
