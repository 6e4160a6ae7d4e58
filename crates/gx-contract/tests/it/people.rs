//! The people and organisations of the tests, by first name.

use gx_model::{AccountId, BiometricHash, Country, FabricUserId};

/// `MY 463 AUN834 0QKZB 5821` is the published example; the names of the others tell how they
/// differ. All except the baby were born or founded in 1989 or 1992.
const PEOPLE: [(&str, &str); 8] = [
    ("sarah", "MY 463 AUN834 0QKZB 5821"),
    ("ali", "MY 111 ABG641 0ALIX 0001"),
    ("bea", "SG 222 AUM641 0BEAX 0002"),
    ("baby", "MY 777 ABR829 0BABY 0007"),
    ("shop", "MY 333 BNS641 1SHOP 0003"),
    ("firm", "SG 444 BNS641 5FIRM 0004"),
    ("ministry", "MY 555 BNS641 7GOVT 0005"),
    ("robot", "MY 666 BNS641 FSYST 0006"),
];

/// Returns the id of one of [`PEOPLE`].
pub(crate) fn id(name: &str) -> FabricUserId {
    let (_, id) = PEOPLE.iter().find(|(known, _)| *known == name).unwrap();
    id.parse().unwrap()
}

/// Returns the account of a person's name, of `treasury_MY`, or of a pool's name without `SYSTEM_`.
pub(crate) fn account(name: &str) -> AccountId {
    match PEOPLE.iter().any(|(known, _)| *known == name) {
        true => AccountId::User(id(name)),
        false if name.starts_with("treasury_") => name.parse().unwrap(),
        false => format!("SYSTEM_{name}").parse().unwrap(),
    }
}

pub(crate) fn biometric_hash() -> BiometricHash {
    "5f".repeat(32).parse().unwrap()
}

/// Returns the country of `CODE:share`.
pub(crate) fn country(text: &str) -> Country {
    let (code, share) = text.split_once(':').unwrap();
    Country {
        country_code: code.parse().unwrap(),
        name: format!("Country {code}"),
        share_ppb: share.parse().unwrap(),
    }
}
