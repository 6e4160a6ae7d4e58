//! The changes of a profile that a person asks for: the body of `PATCH /api/v1/users/me`. A body
//! with a wrong field is answered with all field errors, and nothing changes.

use gx_serve::fields::{Change, Fields, FromFields};
use utoipa::ToSchema;

use crate::person::{IdentityNumber, Name, Nationality, Phone};

/// The fields that can be changed until review, as a merge patch (RFC 7396): a missing field stays,
/// a field that is `null` is cleared.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfileChanges {
    /// The rules of `fname` in a registration; not `null`.
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 1000,
             example = "Sarah")]
    pub(crate) first_name: Option<Name>,
    /// `null` for people who have one name.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, example = "Johnson")]
    pub(crate) last_name: Change<Name>,
    /// Phone number with its country code and without an extension.
    #[schema(value_type = Option<String>, max_length = 40, example = "+60123456790")]
    pub(crate) phone_num: Change<Phone>,
    /// ISO 3166-1 code of the country.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 2, example = "MY")]
    pub(crate) nationality_country_code: Change<Nationality>,
    /// Number of a national document: letters and digits, between them blanks, - / . + ( ).
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40,
             example = "920820-14-5678")]
    pub(crate) identity_num: Change<IdentityNumber>,
}

impl FromFields for ProfileChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let first_name = fields.change_only("firstName");
        let last_name = fields.change("lastName");
        let phone_num = fields.change("phoneNum");
        let nationality_country_code = fields.change("nationalityCountryCode");
        let identity_num = fields.change("identityNum");
        Some(Self {
            first_name: first_name?,
            last_name: last_name?,
            phone_num: phone_num?,
            nationality_country_code: nationality_country_code?,
            identity_num: identity_num?,
        })
    }
}

impl ProfileChanges {
    /// Returns the names of the fields that change.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        [
            ("firstName", self.first_name.is_some()),
            ("lastName", self.last_name.is_change()),
            ("phoneNum", self.phone_num.is_change()),
            ("nationalityCountryCode", self.nationality_country_code.is_change()),
            ("identityNum", self.identity_num.is_change()),
        ]
        .into_iter()
        .filter_map(|(name, changes)| changes.then_some(name))
        .collect()
    }
}
