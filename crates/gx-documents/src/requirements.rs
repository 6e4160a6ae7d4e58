//! Which documents a person must hand in before a review, and which of them are missing or cannot
//! be used. Called by the services of people and of reviewers, which read the same setting.

use std::fmt;
use std::str::FromStr;

use gx_db::Parsed;

use crate::kinds::{DocumentSide, DocumentStatus, DocumentType};
use crate::repository::Document;

/// The text that requires no document.
const NONE: &str = "none";

/// The documents that a person must hand in (`GX_KYC_REQUIRED_DOCUMENTS`): groups separated by
/// commas. A group has alternatives separated by `|`, of which one is enough. A card is complete
/// with both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredDocuments {
    groups: Vec<Vec<DocumentType>>,
}

/// What a person must still hand in: one document of these types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDocument {
    /// The types of which one is enough.
    pub any_of: Vec<DocumentType>,
    /// The side that is missing of a card whose other side is there.
    pub side: Option<DocumentSide>,
}

/// Why a text does not say which documents are required.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequiredDocumentsError {
    /// A part of the list has no text.
    #[error("a type of a document is missing; write `none` if no document is required")]
    Empty,
    /// A type is unknown.
    #[error(
        "`{0}` is no type of a document; use PASSPORT, NATIONAL_ID, DRIVERS_LICENSE, \
         PROOF_OF_ADDRESS or SELFIE_PHOTO"
    )]
    UnknownType(String),
    /// A type is in the list twice.
    #[error("{0} is in the list twice; remove one of them")]
    Twice(DocumentType),
}

impl DocumentType {
    /// Returns whether a document of this type is a card, of which both sides are needed.
    pub const fn has_two_sides(self) -> bool {
        matches!(self, Self::NationalId | Self::DriversLicense)
    }
}

impl Default for RequiredDocuments {
    fn default() -> Self {
        use DocumentType::{DriversLicense, NationalId, Passport, SelfiePhoto};
        Self { groups: vec![vec![Passport, NationalId, DriversLicense], vec![SelfiePhoto]] }
    }
}

impl FromStr for RequiredDocuments {
    type Err = RequiredDocumentsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == NONE {
            return Ok(Self::none());
        }
        let mut groups: Vec<Vec<DocumentType>> = Vec::new();
        for part in text.split(',') {
            let mut group = Vec::new();
            for name in part.split('|').map(str::trim) {
                if name.is_empty() {
                    return Err(RequiredDocumentsError::Empty);
                }
                let kind = DocumentType::from_name(name)
                    .ok_or_else(|| RequiredDocumentsError::UnknownType(name.to_owned()))?;
                if group.contains(&kind) || groups.iter().flatten().any(|other| *other == kind) {
                    return Err(RequiredDocumentsError::Twice(kind));
                }
                group.push(kind);
            }
            groups.push(group);
        }
        Ok(Self { groups })
    }
}

impl fmt::Display for RequiredDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return f.write_str(NONE);
        }
        let names = |group: &Vec<DocumentType>| {
            group.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("|")
        };
        f.write_str(&self.groups.iter().map(names).collect::<Vec<_>>().join(","))
    }
}

impl RequiredDocuments {
    /// Returns a list that requires no document.
    pub const fn none() -> Self {
        Self { groups: Vec::new() }
    }

    /// Returns what a person with these documents must still hand in. A document that waits for the
    /// scanner is there; a rejected or an erased one is not.
    pub fn missing(&self, documents: &[Document]) -> Vec<MissingDocument> {
        self.groups.iter().flat_map(|group| lacking(group, documents, is_there)).collect()
    }

    /// Returns the documents that keep a person with these documents from an approval: those that
    /// are quarantined or rejected, of each group that no other document completes.
    pub fn blocking<'a>(&self, documents: &'a [Document]) -> Vec<&'a Document> {
        let is_open = |group: &&Vec<DocumentType>| !lacking(group, documents, is_usable).is_empty();
        let open: Vec<DocumentType> =
            self.groups.iter().filter(is_open).flatten().copied().collect();
        documents
            .iter()
            .filter(|document| document.erased_at.is_none() && open.contains(&document.kind))
            .filter(|document| !is_usable(document))
            .collect()
    }
}

/// Returns whether a document is there and not rejected.
fn is_there(document: &Document) -> bool {
    document.erased_at.is_none() && document.status != DocumentStatus::Rejected
}

/// Returns whether a reviewer can rely on a document.
fn is_usable(document: &Document) -> bool {
    is_there(document) && document.status != DocumentStatus::Quarantined
}

/// Returns what is missing of a group if only the documents that `counts` accepts count.
fn lacking(
    group: &[DocumentType],
    documents: &[Document],
    counts: impl Fn(&Document) -> bool,
) -> Vec<MissingDocument> {
    let has = |kind: DocumentType, side: Option<DocumentSide>| {
        documents.iter().any(|document| {
            let is_side = side.is_none() || document.side == side.map(Parsed);
            document.kind == kind && is_side && counts(document)
        })
    };
    let mut begun = Vec::new();
    for kind in group.iter().copied() {
        if !kind.has_two_sides() {
            if has(kind, None) {
                return Vec::new();
            }
            continue;
        }
        let has_side = |side: &DocumentSide| has(kind, Some(*side));
        let missing = DocumentSide::ALL.into_iter().filter(|side| !has_side(side));
        match missing.collect::<Vec<_>>()[..] {
            [] => return Vec::new(),
            [side] => begun.push(MissingDocument { any_of: vec![kind], side: Some(side) }),
            _ => {}
        }
    }
    // The person has chosen a card, and only its other side is missing.
    begun.truncate(1);
    if begun.is_empty() {
        begun.push(MissingDocument { any_of: group.to_vec(), side: None });
    }
    begun
}

#[cfg(test)]
mod tests {
    use gx_db::ProfileId;
    use time::macros::datetime;

    use super::*;

    use DocumentSide::{Back, Front};
    use DocumentType::{DriversLicense, NationalId, Passport, ProofOfAddress, SelfiePhoto};

    fn document(
        kind: DocumentType,
        side: Option<DocumentSide>,
        status: DocumentStatus,
    ) -> Document {
        Document {
            document_id: "document".to_owned(),
            profile_id: ProfileId::from("anna".to_owned()),
            kind,
            side: side.map(Parsed),
            status,
            size: 1,
            mime_type: "image/png".to_owned(),
            page_count: Some(1),
            issuing_country: None,
            issued_on: None,
            expires_on: None,
            uploaded_at: datetime!(2026-11-30 12:00 UTC),
            is_infected: false,
            erased_at: None,
            reviewed_by: None,
            reviewed_at: None,
            reason_code: None,
            public_comment: None,
            storage_key: "key".to_owned(),
            wrapped_key: None,
            facts: None,
        }
    }

    fn stored(kind: DocumentType, side: Option<DocumentSide>) -> Document {
        document(kind, side, DocumentStatus::Stored)
    }

    fn any_of(any_of: &[DocumentType], side: Option<DocumentSide>) -> MissingDocument {
        MissingDocument { any_of: any_of.to_vec(), side }
    }

    #[test]
    fn a_list_of_required_documents_is_read_and_written() {
        let default = "PASSPORT|NATIONAL_ID|DRIVERS_LICENSE,SELFIE_PHOTO";
        assert_eq!(RequiredDocuments::default().to_string(), default);
        for text in [default, "PASSPORT", "PROOF_OF_ADDRESS,PASSPORT|NATIONAL_ID", "none"] {
            assert_eq!(text.parse::<RequiredDocuments>().unwrap().to_string(), text);
        }
        assert_eq!(default.parse::<RequiredDocuments>(), Ok(RequiredDocuments::default()));
        let spaced: RequiredDocuments = " PASSPORT | NATIONAL_ID , SELFIE_PHOTO".parse().unwrap();
        assert_eq!(spaced.to_string(), "PASSPORT|NATIONAL_ID,SELFIE_PHOTO");
        let error = |text: &str| text.parse::<RequiredDocuments>().unwrap_err();
        for text in ["", " ", "PASSPORT,", "PASSPORT||SELFIE_PHOTO", ",PASSPORT"] {
            assert_eq!(error(text), RequiredDocumentsError::Empty, "{text}");
        }
        assert_eq!(error("passport"), RequiredDocumentsError::UnknownType("passport".to_owned()));
        assert_eq!(error("PASSPORT,none"), RequiredDocumentsError::UnknownType("none".to_owned()));
        assert_eq!(error("PASSPORT,PASSPORT"), RequiredDocumentsError::Twice(Passport));
        assert_eq!(error("SELFIE_PHOTO|SELFIE_PHOTO"), RequiredDocumentsError::Twice(SelfiePhoto));
    }

    #[test]
    fn a_card_needs_both_sides_and_a_passport_any() {
        let required = RequiredDocuments::default();
        let identity = any_of(&[Passport, NationalId, DriversLicense], None);
        let selfie = any_of(&[SelfiePhoto], None);
        assert_eq!(required.missing(&[]), [identity.clone(), selfie.clone()]);
        let photo = stored(SelfiePhoto, None);
        assert_eq!(required.missing(std::slice::from_ref(&photo)), [identity]);
        for side in [None, Some(Front), Some(Back)] {
            assert_eq!(
                required.missing(&[stored(Passport, side)]),
                std::slice::from_ref(&selfie),
                "{side:?}"
            );
        }
        let front = stored(NationalId, Some(Front));
        let missing = required.missing(&[photo.clone(), front.clone()]);
        assert_eq!(missing, [any_of(&[NationalId], Some(Back))]);
        // The other side of another card is no help.
        let back = stored(DriversLicense, Some(Back));
        let missing = required.missing(&[photo.clone(), front.clone(), back]);
        assert_eq!(missing, [any_of(&[NationalId], Some(Back))]);
        let back = stored(NationalId, Some(Back));
        assert!(required.missing(&[photo, front, back]).is_empty());
        assert!(RequiredDocuments::none().missing(&[]).is_empty());
    }

    #[test]
    fn a_rejected_or_erased_document_is_missing_and_one_in_quarantine_is_there() {
        let required: RequiredDocuments = "PASSPORT".parse().unwrap();
        let missing = |document: &Document| required.missing(std::slice::from_ref(document)).len();
        let erased =
            Document { erased_at: Some(datetime!(2026-12-01 12:00 UTC)), ..stored(Passport, None) };
        assert_eq!(missing(&erased), 1);
        for (status, expected) in [
            (DocumentStatus::Quarantined, 0),
            (DocumentStatus::Stored, 0),
            (DocumentStatus::Accepted, 0),
            (DocumentStatus::Rejected, 1),
        ] {
            assert_eq!(missing(&document(Passport, None, status)), expected, "{status}");
        }
    }

    #[test]
    fn a_required_document_that_is_held_or_rejected_blocks_an_approval() {
        let required = RequiredDocuments::default();
        let kinds = |documents: &[Document]| -> Vec<DocumentType> {
            required.blocking(documents).iter().map(|document| document.kind).collect()
        };
        let photo = stored(SelfiePhoto, None);
        for status in [DocumentStatus::Quarantined, DocumentStatus::Rejected] {
            let passport = document(Passport, None, status);
            assert_eq!(kinds(&[passport.clone(), photo.clone()]), [Passport], "{status}");
            // Another document of the group takes its place, and one that is not required blocks
            // nothing.
            let other = stored(Passport, None);
            let address = document(ProofOfAddress, None, status);
            assert!(kinds(&[passport, other, address, photo.clone()]).is_empty(), "{status}");
            let (front, back) = (stored(NationalId, Some(Front)), Some(Back));
            let back = document(NationalId, back, status);
            assert_eq!(kinds(&[front, back, photo.clone()]), [NationalId], "{status}");
        }
        // Whoever was under review before documents were required has none.
        assert!(kinds(&[]).is_empty());
        assert!(kinds(&[stored(Passport, None), photo]).is_empty());
    }
}
