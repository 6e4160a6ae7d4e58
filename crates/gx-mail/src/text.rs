//! Texts of mails: fills the template of a kind. Called for each delivery.

use time::macros::format_description;

use crate::content::MailContent;
use crate::kind::{LinkPage, MailKind};
use crate::settings::MailLinks;

/// Beginning of a template's first line.
const SUBJECT: &str = "Subject: ";

/// Subject and text of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailText {
    /// The subject.
    pub subject: String,
    /// The text, with lines that end in `\n`.
    pub body: String,
}

impl MailText {
    /// Fills the template of a kind.
    pub fn new(kind: MailKind, content: &MailContent, links: &MailLinks) -> Self {
        let time = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        let at = content.at.and_then(|at| at.to_offset(time::UtcOffset::UTC).format(&time).ok());
        let link = kind.link_page().map(|page| link(page, content, links));
        let values = [
            ("{code}", content.code.clone()),
            ("{link}", link),
            ("{at}", at),
            ("{client}", content.client.clone()),
            ("{left}", content.left.map(|left| left.to_string())),
        ];
        let template = kind.template();
        let (first, rest) = template.split_once("\n\n").unwrap_or((template, ""));
        let mut body = rest.to_owned();
        for (name, value) in values {
            body = body.replace(name, value.as_deref().unwrap_or("unknown"));
        }
        let subject = first.strip_prefix(SUBJECT).unwrap_or(first).to_owned();
        Self { subject, body }
    }
}

fn link(page: LinkPage, content: &MailContent, links: &MailLinks) -> String {
    let base = links.base(content.is_admin);
    let token = content.token.as_deref().unwrap_or_default();
    format!("{base}/{}?token={token}", page.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn content() -> MailContent {
        MailContent {
            to: "sarah@gxtest.com".to_owned(),
            token: Some("bcdfghjkmnpqrstv".repeat(4)),
            code: Some("01234567".to_owned()),
            at: Some(datetime!(2026-03-01 12:34:56 UTC)),
            client: Some("2001:db8::7".to_owned()),
            left: Some(2),
            ..MailContent::default()
        }
    }

    /// Returns the lengths of the runs of digits in a text that have six or more.
    fn long_runs(text: &str) -> Vec<&str> {
        text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 6).collect()
    }

    /// AUTHN-14: the code is the only run of six or more digits in a text, and texts without a code
    /// have none.
    #[test]
    fn authn_14_a_code_is_the_only_long_run_of_digits() {
        let links = MailLinks::default();
        for kind in MailKind::ALL.iter().copied() {
            let text = MailText::new(kind, &content(), &links);
            let has_code = kind.template().contains("{code}");
            let expected: &[&str] = if has_code { &["01234567"] } else { &[] };
            assert_eq!(long_runs(&text.body), expected, "{}", kind.name());
            assert!(long_runs(&text.subject).is_empty(), "{}", kind.name());
        }
    }

    /// Every template is complete: a subject, a text in ASCII with short lines, and no name of a
    /// value that stays.
    #[test]
    fn every_template_is_filled() {
        let links = MailLinks::default();
        for kind in MailKind::ALL.iter().copied() {
            assert!(kind.template().starts_with(SUBJECT), "{}", kind.name());
            let MailText { subject, body } = MailText::new(kind, &content(), &links);
            assert!(!subject.is_empty(), "{}", kind.name());
            assert!(body.is_ascii(), "{}", kind.name());
            assert!(!body.contains(['{', '}']), "{}: {body}", kind.name());
            assert!(!body.contains("unknown"), "{}: {body}", kind.name());
            let long = body.lines().find(|line| line.len() > 78 && !line.contains("://"));
            assert_eq!(long, None, "{}", kind.name());
            assert_eq!(kind.needs_token(), body.contains("?token="), "{}", kind.name());
        }
    }

    #[test]
    fn links_lead_to_the_page_of_the_realm() {
        let links = MailLinks {
            link_base: Some("https://app.example/account".to_owned()),
            ..MailLinks::default()
        };
        let mail = |is_admin| {
            MailText::new(MailKind::PasswordReset, &MailContent { is_admin, ..content() }, &links)
        };
        let people = mail(false).body;
        assert!(
            people.contains("https://app.example/account/reset-password?token=bcdf"),
            "{people}"
        );
        let admin = mail(true).body;
        assert!(admin.contains("http://localhost:3006/links/reset-password?token=bcdf"), "{admin}");
    }
}
