//! The number of blocks that are applied in one transaction. The projector halves it when the
//! server has no resources for so many, and doubles it after each success.

/// Limit of the blocks in one transaction.
#[derive(Debug, Default)]
pub(crate) struct BlockLimit {
    /// `None` while the server has room for all blocks at once.
    most: Option<usize>,
}

impl BlockLimit {
    /// Returns how many of `blocks` waiting blocks are applied at once.
    pub(crate) fn of(&self, blocks: usize) -> usize {
        self.most.map_or(blocks, |most| most.min(blocks))
    }

    /// Halves the limit after the server could not apply `blocks` blocks in one transaction.
    pub(crate) fn halve(&mut self, blocks: usize) {
        self.most = Some((blocks / 2).max(1));
    }

    /// Doubles the limit after blocks were applied.
    pub(crate) fn grow(&mut self) {
        self.most = self.most.and_then(|most| most.checked_mul(2));
    }
}

#[cfg(test)]
mod tests {
    use super::BlockLimit;

    #[test]
    fn a_run_is_halved_down_to_one_block_and_grows_again() {
        let mut length = BlockLimit::default();
        assert_eq!(length.of(1_000), 1_000);
        length.halve(1_000);
        assert_eq!((length.of(1_000), length.of(3)), (500, 3));
        for _ in 0..20 {
            length.halve(length.of(1_000));
        }
        assert_eq!((length.of(1_000), length.of(0)), (1, 0));
        length.grow();
        length.grow();
        assert_eq!(length.of(1_000), 4);
        (0..usize::BITS).for_each(|_| length.grow());
        assert_eq!(length.of(usize::MAX), usize::MAX);
    }
}
