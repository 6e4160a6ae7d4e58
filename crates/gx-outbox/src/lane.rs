//! Lanes: the parts of the outbox that are leased. Each command gets its lane when it is enqueued;
//! the submitter leases lanes. All commands of an aggregate are in one lane, so that none overtakes
//! an earlier one.

use uuid::Uuid;

/// Number of lanes. It must never change, because the lane of each command is stored in its row.
pub const LANES: u8 = 64;

/// Namespace of the hash that spreads aggregates over lanes.
const NAMESPACE: Uuid = Uuid::from_u128(0x4f0e_6b5e_1f0a_5c63_8a3e_6d1f_93b0_7c55);

/// Returns the lane of an aggregate, which is the same in every release and on every machine.
pub fn lane_of(aggregate_key: &str) -> i16 {
    let hash = Uuid::new_v5(&NAMESPACE, aggregate_key.as_bytes()).as_u128();
    i16::try_from(hash % u128::from(LANES)).expect("a remainder of 64 fits an i16")
}

#[cfg(test)]
mod tests {
    use super::{LANES, lane_of};

    #[test]
    fn an_aggregate_keeps_its_lane_for_ever() {
        assert_eq!(lane_of("SYSTEM"), 30);
        assert_eq!(lane_of("treasury_MY"), 51);
        assert_eq!(lane_of("MY 463 AUN834 0QKZB 5821"), 21);
    }

    #[test]
    fn every_lane_is_used() {
        let mut used = std::collections::BTreeSet::new();
        used.extend((0..2_000).map(|n| lane_of(&format!("aggregate {n}"))));
        assert_eq!(used.len(), usize::from(LANES));
    }
}
