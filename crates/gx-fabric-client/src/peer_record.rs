//! Records whether the blocks of a peer belong to the chain that is followed. Each `Peer` has one
//! record; gateway calls and requests for blocks skip a peer that its record sets aside.

use std::time::Duration;

use tokio::time::Instant;

use crate::chain::ChainError;

/// The record of the blocks that one peer has shown.
#[derive(Debug)]
pub(crate) struct PeerRecord {
    first: Duration,
    longest: Duration,
    wrong: Option<Wrong>,
}

#[derive(Debug)]
struct Wrong {
    error: ChainError,
    /// The number of the wrong block, or of the block that was expected.
    number: u64,
    pause: Duration,
    until: Instant,
}

impl PeerRecord {
    /// Creates the record of a peer that has shown nothing. A wrong block sets the peer aside for
    /// `first`, and each further one for twice as long as before, up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, wrong: None }
    }

    /// Sets the peer aside because of the block that it showed instead of block `number`.
    pub(crate) fn set_aside(&mut self, error: ChainError, number: u64, now: Instant) {
        let pause = match &self.wrong {
            None => self.first,
            Some(before) => before.pause.saturating_mul(2).min(self.longest),
        };
        self.wrong = Some(Wrong { error, number, pause, until: now + pause });
    }

    /// Takes the peer back if it shows a right block with at least the number of the wrong one;
    /// lower blocks prove nothing new. Returns whether the peer was set aside.
    pub(crate) fn showed_right(&mut self, number: u64) -> bool {
        self.wrong.take_if(|wrong| number >= wrong.number).is_some()
    }

    /// Returns the error of the peer's chain, if there is one.
    pub(crate) fn wrong(&self) -> Option<&ChainError> {
        self.wrong.as_ref().map(|wrong| &wrong.error)
    }

    /// Returns whether blocks may be requested: the peer is not set aside, or its time aside is
    /// over.
    pub(crate) fn may_be_asked(&self, now: Instant) -> bool {
        self.wrong.as_ref().is_none_or(|wrong| now >= wrong.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_wrong_peer_is_set_aside_for_longer_each_time_and_taken_back_by_a_block_as_high() {
        let start = Instant::now();
        let mut record = PeerRecord::new(10 * MS, 35 * MS);
        let wrong = ChainError::DataHash { number: 7 };
        assert!(record.may_be_asked(start));
        for pause in [10, 20, 35, 35] {
            record.set_aside(wrong.clone(), 7, start);
            assert!(!record.may_be_asked(start + (pause - 1) * MS), "{pause}");
            assert!(record.may_be_asked(start + pause * MS), "{pause}");
        }
        assert!(!record.showed_right(6), "the block before it was never in doubt");
        assert_eq!(record.wrong(), Some(&wrong));
        assert!(record.showed_right(7));
        assert_eq!(record.wrong(), None);
        assert!(!record.showed_right(8), "it was not set aside");
        record.set_aside(wrong, 7, start);
        assert!(record.may_be_asked(start + 10 * MS), "the first pause applies again");
    }
}
