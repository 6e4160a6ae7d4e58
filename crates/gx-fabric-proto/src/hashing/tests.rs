use super::*;

/// Header encodings as `openssl asn1parse -genconf` writes them, with `openssl sha256`.
const HEADERS: [(u64, &str, &str, &str); 6] = [
    (0, "", "30270201000400", "f34a80519c1d0d48c7731757aea505f0501daa717e83a48d9c17723d43d933e7"),
    (
        127,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "304702017f0420",
        "cfece15d958c03e985caee2acb73f9247e81c5a14856d9e9fb0d3cc0b847abd7",
    ),
    (
        128,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "3048020200800420",
        "8be92c3b3bfc45ecf3e92b2e01206ebf8c08b83893a477dfd656b1b706a9adf8",
    ),
    (
        256,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "3048020201000420",
        "7f6374801ae2b32c5e62f94e6217374c0f8f11606136efbbe414388eb89b5f7a",
    ),
    (
        u64::MAX,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "304f020900ffffffffffffffff0420",
        "7345feb7a6f3d221ce4303764d3e989b5201d562bdab97ac68704b61001318fc",
    ),
    (
        5,
        // 130 bytes, so that both lengths need the long form.
        "7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e\
         7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e\
         7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e",
        "3081aa020105048182",
        "8e3b503aa5daff21c1fe6b0a7e5f5ede1296d019f27b66afe64cc29383b5daff",
    ),
];

#[test]
fn a_header_hashes_as_its_minimal_der() {
    for (number, previous_hash, der_start, hash) in HEADERS {
        let header = BlockHeader {
            number,
            previous_hash: hex::decode(previous_hash).unwrap(),
            data_hash: vec![0xdd; 32],
        };
        let der = hex::encode(block_header_bytes(&header));
        assert!(der.starts_with(der_start), "block {number} encodes as {der}");
        assert_eq!(hex::encode(block_header_hash(&header)), hash, "block {number}");
    }
}

#[test]
fn a_transaction_id_is_the_hash_of_nonce_and_creator() {
    let nonce: Vec<u8> = (0..24).collect();
    assert_eq!(
        transaction_id(&nonce, b"creator"),
        "151635d156b87fcdd972bf6d45d83eb75864e6b9caff423a784c5c4e58051968"
    );
}

#[test]
fn a_data_hash_is_the_hash_of_the_concatenated_entries() {
    let entries = BlockData { data: vec![b"one".to_vec(), b"two".to_vec()] };
    assert_eq!(
        hex::encode(block_data_hash(&entries)),
        "25b6746d5172ed6352966a013d93ac846e1110d5a25e8f183b5931f4688842a1"
    );
    assert_eq!(
        hex::encode(block_data_hash(&BlockData::default())),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}
