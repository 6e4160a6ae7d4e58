//! What the projector remembers for whoever looks at its health.

use gx_fabric_client::FollowState;
use serde_json::{Value, json};

use crate::projector::Progress;

/// What befell the stream and the transactions: it is over when somebody looks, and still
/// worth knowing.
#[derive(Debug, Default)]
pub(crate) struct History {
    peer: Option<String>,
    reconnects: u64,
    last_error: Option<String>,
    last_invalid: Value,
    /// Reconnects of the follower that is being read now, as far as they are counted.
    counted: u64,
}

impl History {
    /// After each step.
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
        // Another follower begins anew.
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

    /// The transaction that was not valid last.
    pub(crate) fn last_invalid(&self) -> &Value {
        &self.last_invalid
    }

    /// The stream, and what ended it last.
    pub(crate) fn stream(&self) -> Value {
        json!({
            "peer": self.peer,
            "reconnects": self.reconnects,
            "lastError": self.last_error,
        })
    }
}
