//! Mails of tests: the queue of a host is delivered into memory when a test asks for it.

use std::sync::{Arc, Mutex};

use gx_mail::{MailSender, MailSettings, SenderParts, SentMail, Transport};

use super::TestHost;
use crate::mail_tokens::MailPreparer;

impl TestHost {
    /// Sends all mails that wait, and returns them in the order of their ids.
    pub async fn mails(&self) -> Vec<SentMail> {
        let mails = Arc::new(Mutex::new(Vec::new()));
        let settings = MailSettings::default();
        let parts = SenderParts {
            pool: self.database.pool().clone(),
            cipher: Arc::new(self.base.key_ring.clone()),
            preparer: Arc::new(MailPreparer::new(&self.base)),
            transport: Transport::Memory(Arc::clone(&mails)),
            from: settings.mail_from.clone(),
            links: settings.links.clone(),
            clock: self.clock.clone(),
        };
        MailSender::new(parts, &settings).unwrap().drain().await.unwrap();
        let mails = mails.lock().unwrap();
        mails.clone()
    }

    /// Sends all mails that wait, and returns the only one with this subject.
    pub async fn mail_about(&self, subject: &str) -> SentMail {
        let mails = self.mails().await;
        let mut found = mails.iter().filter(|mail| mail.subject == subject);
        match (found.next(), found.next()) {
            (Some(mail), None) => mail.clone(),
            _ => panic!("not one mail about {subject}: {mails:?}"),
        }
    }

    /// Returns the subjects of the mails that wait, sorted.
    pub async fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<_> =
            self.mails().await.into_iter().map(|mail| mail.subject).collect();
        subjects.sort();
        subjects
    }
}

/// Returns the only run of six or more digits in a mail.
pub fn code_in(mail: &SentMail) -> String {
    let runs = mail.body.split(|c: char| !c.is_ascii_digit());
    let codes: Vec<&str> = runs.filter(|run| run.len() >= 6).collect();
    assert_eq!(codes.len(), 1, "{}", mail.body);
    codes[0].to_owned()
}

/// Returns the token of the link in a mail.
pub fn token_in(mail: &SentMail) -> String {
    let (_, rest) = mail.body.split_once("?token=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}
