//! The formats of files that are taken in.

use std::fmt;

/// A format of files that is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// A JPEG image.
    Jpeg,
    /// A PNG image.
    Png,
    /// A WebP image.
    WebP,
    /// A PDF document.
    Pdf,
}

impl FileFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::WebP, Self::Pdf];

    /// Returns the media type.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// Returns the endings of file names, the usual one first.
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::Png => &["png"],
            Self::WebP => &["webp"],
            Self::Pdf => &["pdf"],
        }
    }

    /// Returns the format with this media type.
    pub fn of_mime_type(text: &str) -> Option<Self> {
        // Parameters such as a character set say nothing about these formats.
        let essence = text.split(';').next().unwrap_or_default().trim();
        let is_it = |format: &Self| format.mime_type().eq_ignore_ascii_case(essence);
        Self::ALL.into_iter().find(is_it)
    }

    /// Returns the format that the ending of a file name says.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        let has_it = |format: &Self| {
            format.extensions().iter().any(|known| known.eq_ignore_ascii_case(ending))
        };
        Self::ALL.into_iter().find(has_it)
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Pdf => "PDF",
        })
    }
}
