//! The faults that can be asked for, as they are written in JSON.

use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use serde::Deserialize;

use crate::faults::Faults;

/// The body of `POST /faults`: `{"fault": "fail-endorsements", "count": 2, …}`. The variants
/// without fields have braces, without which fields that nobody knows would be let through.
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
    EndStreams {},
    MuteStreams {
        on: bool,
    },
    ResetConnections {},
    RefuseConnections {
        on: bool,
    },
    Unavailable {
        on: bool,
    },
    TooManyRequests {
        on: bool,
    },
    OrdererDown {
        on: bool,
    },
}

fn once() -> usize {
    1
}

/// Planned faults of one request at most; each takes memory until it happens.
const MAX_COUNT: usize = 100_000;

impl Fault {
    /// Plans the fault, or makes it happen. The error says what cannot be meant.
    pub(super) fn apply(self, faults: &Faults) -> Result<(), String> {
        match self {
            Self::HoldCommits {} => faults.hold_commits(),
            Self::ReleaseCommits {} => faults.release_commits(),
            Self::DropSubmitReplies { count } => faults.drop_submit_replies(checked(count)?),
            Self::WithholdSubmitReplies { count } => faults.hang_submit_replies(checked(count)?),
            Self::DiscardSubmits { count } => faults.discard_submits(checked(count)?),
            Self::FailEndorsements { count, status, message } => {
                faults.fail_endorsements(checked(count)?, status, &message);
            }
            Self::DelayEndorsements { milliseconds } => {
                faults.slow_endorsements(Duration::from_millis(milliseconds));
            }
            Self::ForceValidationCode { count, code } => {
                let known = TxValidationCode::from_str_name(&code);
                let code = known.ok_or_else(|| {
                    format!("there is no validation code {code}; write it as MVCC_READ_CONFLICT")
                })?;
                faults.force_validation_code(checked(count)?, code);
            }
            Self::EndStreams {} => faults.end_streams(),
            Self::MuteStreams { on } => faults.mute_streams(on),
            Self::ResetConnections {} => faults.reset_connections(),
            Self::RefuseConnections { on } => faults.refuse_connections(on),
            Self::Unavailable { on } => faults.unavailable(on),
            Self::TooManyRequests { on } => faults.too_many_requests(on),
            Self::OrdererDown { on } => faults.orderer_down(on),
        }
        Ok(())
    }
}

fn checked(count: usize) -> Result<usize, String> {
    if count <= MAX_COUNT { Ok(count) } else { Err(format!("count must not pass {MAX_COUNT}")) }
}
