//! The type of account holder: the hex digit in the fourth block of a Fabric User ID. The types of
//! payer and payee decide the [`TxType`](crate::TxType) of a transfer, and so its fee.

/// The type of an account's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each name says what the type is for")]
pub enum AccountType {
    Individual,
    ForProfit,
    NotForProfit,
    Education,
    Healthcare,
    Financial,
    GovernmentTreasury,
    Governmental,
    Intergovernmental,
    Diplomatic,
    TrustOrEstate,
    SpecialPurpose,
    System,
}

impl AccountType {
    /// Every type that an id can have.
    pub const ALL: [Self; 13] = [
        Self::Individual,
        Self::ForProfit,
        Self::NotForProfit,
        Self::Education,
        Self::Healthcare,
        Self::Financial,
        Self::GovernmentTreasury,
        Self::Governmental,
        Self::Intergovernmental,
        Self::Diplomatic,
        Self::TrustOrEstate,
        Self::SpecialPurpose,
        Self::System,
    ];

    /// Returns the hex digit in the id.
    pub const fn digit(self) -> char {
        match self {
            Self::Individual => '0',
            Self::ForProfit => '1',
            Self::NotForProfit => '2',
            Self::Education => '3',
            Self::Healthcare => '4',
            Self::Financial => '5',
            Self::GovernmentTreasury => '6',
            Self::Governmental => '7',
            Self::Intergovernmental => '8',
            Self::Diplomatic => '9',
            Self::TrustOrEstate => 'A',
            Self::SpecialPurpose => 'E',
            Self::System => 'F',
        }
    }

    /// Returns the type with this digit, or `None` for another character, such as the reserved
    /// digits B, C and D or a small letter. A Fabric User ID with such a digit is refused.
    pub fn from_digit(digit: char) -> Option<Self> {
        Self::ALL.into_iter().find(|holder| holder.digit() == digit)
    }
}
