//! Columns whose text is one of a list of names, such as a status.

use std::fmt::{self, Display};
use std::str::FromStr;

use gx_model::{AccountStatus, CommandStatus};
use serde::{Serialize, Serializer};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

/// A value on which the code decides. A text that this release does not know is an error with that
/// text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<T>(pub T);

/// A value that the code only shows. A newer schema may have names that this release does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<T> {
    /// A name of this release.
    Known(T),
    /// Another name, as it is stored.
    Unknown(String),
}

impl<T: Copy> Named<T> {
    /// Returns the value, or `None` if this release does not know the name.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Unknown(_) => None,
        }
    }
}

impl<T: PartialEq> PartialEq<T> for Named<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(value) if value == other)
    }
}

impl<T: Display> Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Unknown(name) => f.write_str(name),
        }
    }
}

impl<T: Display> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'r, T: FromStr<Err: Display>> Decode<'r, Postgres> for Parsed<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Postgres>>::decode(value)?;
        text.parse().map(Self).map_err(|why| format!("{text:?} is unknown: {why}").into())
    }
}

impl<'r, T: FromStr> Decode<'r, Postgres> for Named<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Postgres>>::decode(value)?;
        Ok(text.parse().map_or_else(|_| Self::Unknown(text.to_owned()), Self::Known))
    }
}

macro_rules! stored_as_text {
    ($($name:ident),*) => {$(
        impl<T> Type<Postgres> for $name<T> {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }

            fn compatible(stored: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(stored)
            }
        }
    )*};
}
stored_as_text!(Parsed, Named);

// The macros of sqlx convert a column into the type of its field.
macro_rules! into_field {
    ($($name:ty),*) => {$(
        impl From<Parsed<$name>> for $name {
            fn from(Parsed(value): Parsed<$name>) -> Self {
                value
            }
        }
    )*};
}
into_field!(AccountStatus, CommandStatus);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDatabase;

    #[tokio::test]
    async fn a_status_of_a_newer_schema_is_shown_and_is_no_ground_for_a_decision() {
        let db = TestDatabase::create().await;
        let mut conn = db.connection().await;
        let shown = "SELECT unnest(ARRAY['DEAD', 'SLEEPING'])";
        let shown: Vec<Named<CommandStatus>> =
            sqlx::query_scalar(shown).fetch_all(&mut conn).await.unwrap();
        assert_eq!(shown[0], CommandStatus::Dead);
        assert_eq!(shown[1], Named::Unknown("SLEEPING".to_owned()));
        assert_eq!(
            (shown[0].to_string(), shown[1].to_string()),
            ("DEAD".into(), "SLEEPING".into())
        );
        let decided: Result<Parsed<CommandStatus>, _> =
            sqlx::query_scalar("SELECT 'SLEEPING'").fetch_one(&mut conn).await;
        assert!(decided.unwrap_err().to_string().contains(r#""SLEEPING" is unknown"#));
    }
}
