//! What the projector remembers for its health report. `run` adds to it after each step that did
//! not fail, and shows it in the check `projection`.

use gx_fabric_client::FollowState;
use serde_json::{Value, json};

use crate::projector::Progress;

/// Past events of the block stream and the transactions that an operator may need to know later.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The peer that delivers blocks; `None` without a stream.
    peer: Option<String>,
    reconnects: u64,
    last_error: Option<String>,
    /// JSON null until a transaction was not valid.
    last_invalid: Value,
    /// Number of reconnects of the current follower that are already counted.
    counted: u64,
}

impl History {
    /// Takes over what a step and the block stream reported. `stream` is `None` if no block stream
    /// is open, for example on a standby.
    pub(crate) fn add(&mut self, progress: &Progress, stream: Option<FollowState>) {
        if let Progress::Applied(applied) = progress
            && let Some((block, code)) = applied.invalid.last()
        {
            self.last_invalid = json!({ "code": code, "block": block });
        }
        let Some(stream) = stream else {
            self.peer = None;
            return;
        };
        self.peer = stream.peer;
        // A new follower counts from 0.
        if stream.reconnects < self.counted {
            self.counted = 0;
        }
        let new = stream.reconnects - self.counted;
        if new > 0 {
            metrics::counter!("gx_block_stream_reconnects_total").increment(new);
            self.reconnects += new;
            self.counted = stream.reconnects;
        }
        if let Some(error) = stream.last_error {
            self.last_error = Some(error.to_string());
        }
    }

    /// Returns code and block of the last transaction that was not valid, or JSON null.
    pub(crate) fn last_invalid(&self) -> &Value {
        &self.last_invalid
    }

    /// Returns the state of the stream and its last error.
    pub(crate) fn stream(&self) -> Value {
        json!({
            "peer": self.peer,
            "reconnects": self.reconnects,
            "lastError": self.last_error,
        })
    }
}
