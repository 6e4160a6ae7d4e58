use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519,
    PKCS_RSA_SHA256,
};

use super::*;

fn self_signed(key: &KeyPair, name: &str) -> String {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.self_signed(key).unwrap().pem()
}

/// Returns a leaf certificate and the certificates of its issuers.
fn issued(key: &KeyPair) -> (String, [String; 2]) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap());
    let root = root.unwrap();
    let middle =
        CertifiedIssuer::signed_by(authority("middle"), KeyPair::generate().unwrap(), &root);
    let middle = middle.unwrap();
    let leaf = CertificateParams::new(vec!["leaf".to_owned()]).unwrap();
    let leaf = leaf.signed_by(key, &middle).unwrap().pem();
    (leaf, [middle.pem(), root.pem()])
}

/// FAB-15: a certificate file with a private key of any kind, complete or truncated, before or
/// after the certificate, is refused with an error that says so.
#[test]
fn fab_15_a_certificate_file_with_a_key_in_it_is_refused() {
    let key = KeyPair::generate().unwrap();
    let (certificate, pkcs8) = (self_signed(&key, "signer"), key.serialize_pem());
    let sec1 = pkcs8.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let encrypted = pkcs8.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let protected = sec1.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\n", 1);
    let windows = pkcs8.replace('\n', "\r\n");
    let cut_off = pkcs8[..pkcs8.len() - 30].to_owned();
    let indented = format!("  {}", pkcs8.replace('\n', "\n  "));
    for secret in [pkcs8, sec1, encrypted, protected, windows, cut_off, indented] {
        for text in [
            format!("{certificate}{secret}"),
            format!("{secret}\n{certificate}"),
            format!("{certificate}{secret}\n{certificate}"),
            secret.clone(),
        ] {
            assert_eq!(certificates_in(&text), Err(PemError::CertificateHoldsKey), "{text}");
        }
    }
}

/// FAB-15: the certificate is encoded again without the comments, line ends and other blocks of its
/// file, in the form that other tools write.
#[test]
fn fab_15_a_certificate_is_encoded_again_without_the_rest_of_its_file() {
    let key = KeyPair::generate().unwrap();
    let certificate = self_signed(&key, "signer");
    let public = key.public_key_raw();
    let curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for text in [
        certificate.clone(),
        certificate.replace('\n', "\r\n"),
        format!("Bag Attributes\n  friendlyName: signer\n{certificate}\n# the end\n"),
        format!("{curve}{certificate}"),
        format!("{certificate}{certificate}"),
        format!("the private key is kept elsewhere\n{certificate}"),
    ] {
        assert_eq!(certificate_of(&text, public).unwrap().pem(), certificate, "{text}");
    }
}

/// FAB-15: from a bundle in any order, the certificate of the key is taken. If no certificate or
/// several belong to the key, the bundle is refused.
#[test]
fn fab_15_of_a_bundle_the_certificate_of_the_key_is_taken() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (leaf, [middle, root]) = issued(&key);
    let public = key.public_key_raw();
    for bundle in [[&leaf, &middle, &root], [&root, &middle, &leaf], [&middle, &leaf, &root]] {
        let text: String = bundle.into_iter().map(String::as_str).collect();
        assert_eq!(certificate_of(&text, public).unwrap().pem(), leaf);
        let mismatch = certificate_of(&text, other.public_key_raw());
        assert!(matches!(mismatch, Err(PemError::KeyMismatch { .. })), "{mismatch:?}");
    }
    let renewed = self_signed(&key, "renewed");
    let both = certificate_of(&format!("{leaf}{renewed}"), public);
    assert!(matches!(both, Err(PemError::SeveralCertificates { .. })), "{both:?}");
}

/// FAB-15: additional bytes inside a certificate's block are refused, because they would be
/// published unseen.
#[test]
fn fab_15_a_block_with_more_than_a_certificate_is_refused() {
    let key = KeyPair::generate().unwrap();
    let certificate = certificates_in(&self_signed(&key, "signer")).unwrap().remove(0);
    let more = [certificate.der(), &key.serialize_der()].concat();
    let refused = certificates_in(&encode(CERTIFICATE, &more));
    assert!(matches!(refused, Err(PemError::UnreadableCertificate(_))), "{refused:?}");
}

#[test]
fn other_content_than_a_certificate_is_refused_by_name() {
    let certificate = self_signed(&KeyPair::generate().unwrap(), "signer");
    let cut_off = &certificate[..certificate.len() - 30];
    let garbage = certificate.replace("MII", "M!I");
    let other = encode(CERTIFICATE, b"no certificate");
    for text in [cut_off, &garbage, &other, &format!("{certificate}{other}")] {
        let refused = certificates_in(text);
        assert!(matches!(refused, Err(PemError::UnreadableCertificate(_))), "{text}: {refused:?}");
    }
    let crl = encode("X509 CRL", b"a list");
    for (text, found) in [("", "no PEM block"), ("text", "no PEM block"), (&crl, "X509 CRL")] {
        let refused = certificates_in(text).unwrap_err();
        assert!(matches!(&refused, PemError::NoCertificate(what) if what.contains(found)));
    }
}

/// A key file with other blocks, as real tools write it, is read, and only its key is kept.
#[test]
fn one_key_is_read_from_a_file_with_other_blocks_in_it() {
    let key = KeyPair::generate().unwrap();
    let (certificate, pkcs8) = (self_signed(&key, "signer"), key.serialize_pem());
    let curve = encode("EC PARAMETERS", &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    let sec1 = pkcs8.replace("PRIVATE KEY", "EC PRIVATE KEY");
    for (text, kept) in [
        (pkcs8.clone(), &pkcs8),
        (format!("{curve}{sec1}"), &sec1),
        (format!("{certificate}{pkcs8}"), &pkcs8),
        (format!("Key Attributes: <No Attributes>\n{pkcs8}{certificate}"), &pkcs8),
    ] {
        assert_eq!(private_key_in(&text).unwrap().pem(), *kept, "{text}");
    }

    assert_eq!(private_key_in(&format!("{pkcs8}{sec1}")), Err(PemError::SeveralKeys(2)));
    let encrypted = pkcs8.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(private_key_in(&encrypted), Err(PemError::EncryptedKey));
    let protected = sec1.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1);
    assert_eq!(private_key_in(&protected), Err(PemError::EncryptedKey));
    assert!(matches!(private_key_in(&certificate), Err(PemError::NoKey(_))));
    assert!(matches!(private_key_in(""), Err(PemError::NoKey(_))));
    let cut_off = private_key_in(&pkcs8[..pkcs8.len() - 30]);
    assert!(matches!(cut_off, Err(PemError::UnreadableKey(_))), "{cut_off:?}");
}

/// A TLS pair begins with the certificate of its key, whatever the order of the file, for all kinds
/// of keys that TLS supports.
#[test]
fn a_pair_for_tls_begins_with_the_certificate_of_its_key() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (leaf, [middle, root]) = issued(&key);
        let pair = TlsPair::read(&format!("{root}{middle}{leaf}"), &key.serialize_pem()).unwrap();
        assert_eq!(pair.chain_pem(), format!("{leaf}{root}{middle}"));
        assert_eq!((pair.leaf().pem(), pair.key_pem()), (leaf.clone(), key.serialize_pem()));

        let beside = TlsPair::read(&format!("{leaf}{}", key.serialize_pem()), &key.serialize_pem());
        assert_eq!(beside, Err(PemError::CertificateHoldsKey));
        let other = KeyPair::generate().unwrap().serialize_pem();
        let mismatch = TlsPair::read(&leaf, &other);
        assert!(matches!(mismatch, Err(PemError::KeyMismatch { .. })), "{mismatch:?}");
    }
}

#[test]
fn a_key_is_never_shown() {
    let key = KeyPair::generate().unwrap();
    let pair = TlsPair::read(&self_signed(&key, "signer"), &key.serialize_pem()).unwrap();
    let secret = STANDARD.encode(key.serialize_der());
    for shown in [format!("{pair:?}"), format!("{:?}", private_key_in(&key.serialize_pem()))] {
        assert!(!shown.contains("der") && !shown.contains(&secret[40..60]), "{shown}");
    }
}
