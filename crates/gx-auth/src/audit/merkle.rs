//! Merkle trees as certificate logs have them (RFC 9162, section 2.1): root, proof of inclusion,
//! and its check. Called by the sealer, by `verify` and by `prove`.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// Returns the hash of a leaf.
pub(super) fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// Returns the root of a tree.
pub(super) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(left_size(leaves.len()));
            parent(&root(left), &root(right))
        }
    }
}

/// Returns the hashes from a leaf to the root, each with `true` if it is on the left.
pub(super) fn path(leaves: &[Hash], position: usize) -> Vec<(bool, Hash)> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(left_size(leaves.len()));
    let (mut hashes, sibling) = match position.checked_sub(left.len()) {
        None => (path(left, position), (false, root(right))),
        Some(position) => (path(right, position), (true, root(left))),
    };
    hashes.push(sibling);
    hashes
}

/// Returns the hash of the node above two nodes.
pub(super) fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Returns the largest power of two below the number of leaves, of which there are at least two.
fn left_size(leaves: usize) -> usize {
    1 << (leaves - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of Certificate Transparency (its `merkle_tree_test.cc`): eight leaves, and
    /// the roots of the first `n` of them.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves() -> Vec<Hash> {
        LEAVES.iter().map(|text| leaf(&hex::decode(text).unwrap())).collect()
    }

    #[test]
    fn roots_are_those_of_certificate_logs() {
        for (size, expected) in (1..).zip(ROOTS) {
            assert_eq!(hex::encode(root(&leaves()[..size])), expected, "{size} leaves");
        }
    }

    #[test]
    fn every_path_leads_to_the_root() {
        for size in 1..=LEAVES.len() {
            let leaves = &leaves()[..size];
            for (position, leaf) in leaves.iter().enumerate() {
                let climbed =
                    path(leaves, position).iter().fold(*leaf, |node, (is_left, other)| {
                        if *is_left { parent(other, &node) } else { parent(&node, other) }
                    });
                assert_eq!(climbed, root(leaves), "leaf {position} of {size}");
            }
        }
    }
}
