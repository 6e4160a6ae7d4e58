//! A macro for enums with one name for each value, the same in SQL, in JSON and on screen. Used for
//! kinds, statuses, roles and codes.

/// Declares an enum with `ALL`, `name`, `from_name`, `Display`, `FromStr` and serde, all by name.
/// The text in parentheses is the error for an unknown name.
#[macro_export]
macro_rules! named {
    ($(#[$doc:meta])* pub enum $type:ident($wrong:literal) {
        $($(#[$value_doc:meta])* $value:ident = $name:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $type {
            $($(#[$value_doc])* #[serde(rename = $name)] $value,)*
        }

        impl $type {
            /// Every value.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$value),*];

            /// Returns the name of the value in SQL and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }

            /// Returns the value with this name, or `None` if no value has it.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, $crate::UnknownName> {
                Self::from_name(name).ok_or($crate::UnknownName($wrong))
            }
        }
    };
}
/// Error: a name that is not in the list. Its text says what the list allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownName(pub &'static str);
