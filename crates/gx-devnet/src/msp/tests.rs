//! Signatures: of the two valid values of S, only the low one is produced and accepted.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

use super::high_s_der;
use super::own_signatures::OwnSignatures;
use super::signature::{has_low_s, low_s_der};

#[test]
fn both_values_of_s_verify_and_only_one_is_low() {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
    for message in 0..64_u8 {
        let fixed = key.sign(&SystemRandom::new(), &[message]).unwrap();
        let fixed = fixed.as_ref().try_into().unwrap();
        let (low, high) = (low_s_der(fixed), high_s_der(fixed));
        assert!(has_low_s(&low));
        assert!(!has_low_s(&high));
        public.verify(&[message], &low).unwrap();
        public.verify(&[message], &high).unwrap();
    }
}

#[test]
fn a_malformed_signature_has_no_low_s() {
    for bytes in [&[][..], &[0x30], &[0x30, 0], &[0x30, 3, 2, 1, 1], &[0x30, 6, 2, 1, 1, 2, 1, 0]] {
        assert!(!has_low_s(bytes), "{bytes:?}");
    }
    assert!(has_low_s(&[0x30, 6, 2, 1, 1, 2, 1, 1]));
}

#[test]
fn own_signatures_are_remembered_with_their_message_and_for_a_limited_time() {
    let own = OwnSignatures::default();
    own.remember(b"message", b"signature");
    assert!(own.contain(b"message", b"signature"));
    assert!(!own.contain(b"messages", b"ignature"));
    assert!(!own.contain(b"message", b"other"));
    for n in 0..20_000_u32 {
        own.remember(&n.to_be_bytes(), b"signature");
    }
    assert!(!own.contain(b"message", b"signature"));
    assert!(own.contain(&19_999_u32.to_be_bytes(), b"signature"));
}
