//! The inventory of cryptography: what is encrypted, signed or hashed, by which algorithm and with
//! which key. The page `docs/cryptography.md` is written from it, and a test compares it with the
//! code of all crates: a file that uses cryptography belongs to an entry.

use std::fmt::Write as _;

use crate::seal::{CHUNK_BYTES, FORMAT, PREFIX_BYTES, TAG_BYTES};

/// A use of cryptography.
#[derive(Clone, Copy, Debug)]
pub struct InventoryEntry {
    /// What it is for.
    pub purpose: &'static str,
    /// The algorithm with its parameters.
    pub algorithm: &'static str,
    /// The key, and how it is told from its successors.
    pub key: &'static str,
    /// How it is replaced by another algorithm or key.
    pub replaced_by: &'static str,
    /// Files or folders of the code, from the folder `crates`.
    pub code: &'static [&'static str],
}

/// Returns the entries.
pub fn entries() -> Vec<InventoryEntry> {
    [documents(), secrets(), accounts(), logs(), ledger()].concat()
}

fn documents() -> Vec<InventoryEntry> {
    vec![
        InventoryEntry {
            purpose: "Content of documents",
            algorithm: "AES-256-GCM in chunks, STREAM construction",
            key: "a random key for each document, wrapped in `KYCDocument.wrappedKey`",
            replaced_by: "the next number of the format, which each file begins with",
            code: &["gx-documents/src/seal"],
        },
        InventoryEntry {
            purpose: "Keys of documents; numbers, hashes and file names of documents",
            algorithm: "AES-256-GCM with a random nonce, bound to the document",
            key: "the person's key: HKDF-SHA-256 for each purpose, salt `gx person key 1`",
            replaced_by: "the number in the salt",
            code: &["gx-documents/src/key_store/person_key.rs"],
        },
        InventoryEntry {
            purpose: "Keys of people",
            algorithm: "AES-256-GCM with a random nonce, bound to the person",
            key: "the master key whose version is in the person's file",
            replaced_by: "`gx keys rotate`",
            code: &["gx-documents/src/key_store"],
        },
        InventoryEntry {
            purpose: "Finding the same file or number under other people",
            algorithm: "HMAC-SHA-256",
            key: "the master key whose version is in `KYCDocument.fingerprintKeyVersion`",
            replaced_by: "`gx keys rotate`",
            code: &["gx-documents/src/intake/inspector.rs"],
        },
        InventoryEntry {
            purpose: "Names of files in the key store and of the records of erasures",
            algorithm: "SHA-256",
            key: "none",
            replaced_by: "a new name for each file",
            code: &["gx-documents/src/key_store/folder.rs", "gx-documents/src/store/erasure.rs"],
        },
    ]
}

fn secrets() -> Vec<InventoryEntry> {
    vec![
        InventoryEntry {
            purpose: "Secrets of second factors, keys that sign tokens, and mails that wait, in the \
                      database",
            algorithm: "AES-256-GCM with a random nonce, bound to table, row and column",
            key: "the master key whose version is in the column that ends in `KeyVersion`",
            replaced_by: "`gx keys rotate`",
            code: &["gx-auth/src/key_ring"],
        },
        InventoryEntry {
            purpose: "Comparing repeated requests, and counting by address",
            algorithm: "HMAC-SHA-256",
            key: "derived from each master key by HKDF-SHA-256, salt `gx key ring 1`",
            replaced_by: "`gx keys rotate`; the hashes expire within a day",
            code: &["gx-serve/src/fingerprint_key.rs", "gx-serve/src/idempotency"],
        },
        InventoryEntry {
            purpose: "Codes in mails; recognising a client without a device token",
            algorithm: "HMAC-SHA-256",
            key: "derived from each master key by HKDF-SHA-256, salt `gx key ring 1`",
            replaced_by: "`gx keys rotate`; the hashes expire",
            code: &["gx-auth/src/mail_tokens", "gx-auth/src/devices"],
        },
        InventoryEntry {
            purpose: "Connections of clients, databases, Redis, mail servers and the ledger",
            algorithm: "TLS 1.3 or 1.2 by rustls over aws-lc-rs",
            key: "the certificates of the settings",
            replaced_by: "the settings; a list of algorithms comes with the library",
            code: &[
                "gx-serve/src/server/tls.rs",
                "gx/src/dev/edge.rs",
                "gx-mail/src/transport/smtp.rs",
                "gx-fabric-client/src/connect.rs",
            ],
        },
        InventoryEntry {
            purpose: "Files and styles that a page may load",
            algorithm: "SHA-256",
            key: "none",
            replaced_by: "the code",
            code: &["gx-serve/src/pages.rs", "gx-auth/src/link_pages.rs"],
        },
    ]
}

fn accounts() -> Vec<InventoryEntry> {
    vec![
        InventoryEntry {
            purpose: "Passwords",
            algorithm: "argon2id (12 MiB, 3 passes, 1 lane); bcrypt is only verified",
            key: "none; a salt for each password",
            replaced_by: "the parameters of the settings, at the next sign-in",
            code: &["gx-auth/src/hashing.rs"],
        },
        InventoryEntry {
            purpose: "The list of passwords of data breaches",
            algorithm: "SHA-1, as the list is published",
            key: "none",
            replaced_by: "another list",
            code: &["gx-auth/src/password_filter"],
        },
        InventoryEntry {
            purpose: "Access and refresh tokens",
            algorithm: "Ed25519 (EdDSA), or HMAC-SHA-256 where `JWT_SECRET` is set",
            key: "the signing key that the token names as `kid`",
            replaced_by: "`gx keys signing rotate`",
            code: &[
                "gx-auth/src/tokens.rs",
                "gx-auth/src/token_keys",
                "gx-auth/src/authorization.rs",
            ],
        },
        InventoryEntry {
            purpose: "Stored refresh tokens, recovery codes, links of mails and device tokens",
            algorithm: "SHA-256 of values with 120 random bits or more",
            key: "none",
            replaced_by: "the code; the values expire",
            code: &[
                "gx-auth/src/sessions.rs",
                "gx-auth/src/second_factor",
                "gx-auth/src/mail_tokens",
                "gx-auth/src/devices",
            ],
        },
        InventoryEntry {
            purpose: "Codes of second factors",
            algorithm: "TOTP with HMAC-SHA-1, 6 digits, 30 s (RFC 6238), as authenticator apps have it",
            key: "the secret of the factor",
            replaced_by: "a new factor",
            code: &["gx-auth/src/second_factor"],
        },
        InventoryEntry {
            purpose: "Signatures of passkeys, and the domain that they name",
            algorithm: "ECDSA on P-256, Ed25519 or RSA (PKCS #1), with SHA-256; only verified",
            key: "the public key of the passkey",
            replaced_by: "a new passkey",
            code: &["gx-auth/src/passkeys", "gx-auth/src/relying_party.rs"],
        },
    ]
}

fn logs() -> Vec<InventoryEntry> {
    vec![
        InventoryEntry {
            purpose: "Audit log: batches, their order, texts that can be erased",
            algorithm: "SHA-256 in a hash chain and Merkle trees; salted SHA-256 of texts",
            key: "none",
            replaced_by: "the version of the content of an entry",
            code: &["gx-auth/src/audit"],
        },
        InventoryEntry {
            purpose: "Fingerprints of migrations, schemas and descriptions of queries",
            algorithm: "SHA-256",
            key: "none",
            replaced_by: "a migration",
            code: &["gx-db/src"],
        },
    ]
}

fn ledger() -> Vec<InventoryEntry> {
    vec![
        InventoryEntry {
            purpose: "Proposals and envelopes",
            algorithm: "ECDSA on P-256 with SHA-256, as Fabric has it",
            key: "the signer's key of the connection profile",
            replaced_by: "the administrators of the network",
            code: &["gx-fabric-client/src", "gx-fabric-proto/src", "gx-devnet/src"],
        },
        InventoryEntry {
            purpose: "Hashes of biometrics on the ledger; draws of Fabric User IDs",
            algorithm: "HMAC-SHA-256; SHA-256",
            key: "`GX_BIOMETRIC_KEY`",
            replaced_by: "never: the hashes are on the ledger",
            code: &["gx-admin/src/review", "gx-model/src/fabric_id.rs"],
        },
        InventoryEntry {
            purpose: "Hash of the events of a batch; package of the chaincode",
            algorithm: "SHA-256",
            key: "none",
            replaced_by: "the version of the events",
            code: &["gx-contract/src/batch.rs", "gx-chaincode/src/package.rs"],
        },
    ]
}

/// Returns the page `docs/cryptography.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Cryptography\n\n\
         Which algorithm protects what, with which key, and how is it replaced? This page is written \
         from the code:\n`crates/gx-documents/src/inventory.rs`. What leaks if a key does is in \
         [security.md](security.md#keys).\n\n\
         All algorithms but argon2id, bcrypt, SHA-1, TOTP and some SHA-256 are those of aws-lc-rs. \
         No other library encrypts or\nsigns.\n\n\
         | Purpose | Algorithm | Key | Replaced by |\n|---|---|---|---|\n",
    );
    for InventoryEntry { purpose, algorithm, key, replaced_by, .. } in entries() {
        let _ = writeln!(page, "| {purpose} | {algorithm} | {key} | {replaced_by} |");
    }
    let format = FORMAT[FORMAT.len() - 1];
    let _ = write!(
        page,
        "\n## The form of a sealed document\n\n\
         | Part | Bytes | Content |\n|---|---|---|\n\
         | format | {} | `GXD` and the number {format} |\n\
         | prefix | {PREFIX_BYTES} | random, for the nonces |\n\
         | each chunk | {CHUNK_BYTES} + {TAG_BYTES} | ciphertext and tag; the last chunk may be shorter |\n\n\
         The nonce of a chunk is the prefix, its position (32 bits) and a byte that is 1 for the last \
         chunk. The format, the\nprefix, the id of the document and the position are the associated \
         data.\n",
        FORMAT.len()
    );
    page
}
