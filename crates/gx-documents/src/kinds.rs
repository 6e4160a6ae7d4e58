//! What a document is, and how far it has come.

use gx_db::Parsed;
use gx_ledger_api::named;

named! {
    /// The type of a document (`KYCDocument.type`).
    pub enum DocumentType("no document has such a type") {
        /// A passport.
        Passport = "PASSPORT",
        /// An identity card.
        NationalId = "NATIONAL_ID",
        /// A driving licence.
        DriversLicense = "DRIVERS_LICENSE",
        /// A letter or bill with the address.
        ProofOfAddress = "PROOF_OF_ADDRESS",
        /// A photo that the person took of themselves.
        SelfiePhoto = "SELFIE_PHOTO",
    }
}

named! {
    /// The side of a card (`KYCDocument.side`).
    pub enum DocumentSide("a document has a front and a back") {
        /// The side with the photo.
        Front = "front",
        /// The other side.
        Back = "back",
    }
}

named! {
    /// The status of a document (`KYCDocument.status`).
    pub enum DocumentStatus("no document has such a status") {
        /// Not scanned yet; nobody opens it.
        Quarantined = "QUARANTINED",
        /// Waits for a reviewer.
        Stored = "STORED",
        /// A reviewer accepted it.
        Accepted = "ACCEPTED",
        /// A reviewer rejected it, or it is infected.
        Rejected = "REJECTED",
    }
}

macro_rules! parsed {
    ($($name:ident),*) => {$(
        impl From<Parsed<$name>> for $name {
            fn from(Parsed(value): Parsed<$name>) -> Self {
                value
            }
        }
    )*};
}
parsed!(DocumentType, DocumentSide, DocumentStatus);
