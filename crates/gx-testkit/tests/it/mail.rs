//! The queue of mails and its delivery to a mail server, over real connections.

use std::sync::Arc;
use std::time::Duration;

use gx_auth::KeyRing;
use gx_auth::key_ring::new_line;
use gx_db::testing::TestDatabase;
use gx_mail::{
    ContentCipher, MailContent, MailFilter, MailKind, MailOwner, MailSender, MailSettings,
    MailState, NewMail, NothingToPrepare, SenderParts, StepReport, Transport,
};
use gx_model::Clock;
use gx_serve::{Entropy, HealthBoard};
use gx_testkit::{SmtpEncryption, SmtpPlan, SmtpServer, eventually};
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

/// The queue, with everything that a sender needs but the server.
struct Desk {
    database: TestDatabase,
    clock: Clock,
    ring: KeyRing,
    entropy: Entropy,
}

impl Desk {
    async fn start() -> Self {
        let entropy = Entropy::seeded(7);
        let ring = KeyRing::parse(&new_line(1, &Entropy::seeded(0)), entropy.clone()).unwrap();
        let clock = Clock::manual(datetime!(2026-03-01 12:00 UTC));
        Self { database: TestDatabase::create().await, clock, ring, entropy }
    }

    /// Queues a notice to an address.
    async fn queue(&self, to: &str) -> String {
        self.queue_kind(MailKind::PasswordChanged, to).await
    }

    async fn queue_kind(&self, kind: MailKind, to: &str) -> String {
        let now = self.clock.now();
        let mail_id = self.entropy.id(now).to_string();
        let content = MailContent {
            to: to.to_owned(),
            at: Some(now),
            token: kind.needs_token().then(|| "bcdf".to_owned()),
            code: kind.needs_token().then(|| "01234567".to_owned()),
            ..MailContent::default()
        };
        let owner = MailOwner::Unknown;
        let new = NewMail { mail_id: mail_id.clone(), kind, owner: &owner, content: &content };
        let mut conn = self.database.connection().await;
        gx_mail::enqueue(&mut conn, &self.ring, &new, now).await.unwrap();
        mail_id
    }

    /// Copies the one queued mail, without its content, until there are `mails`.
    async fn multiply(&self, mails: i64) {
        sqlx::query(
            r#"INSERT INTO "QueuedMail" ("mailId", kind, content, "contentKeyVersion",
                   "nextAttemptAt", "expiresAt", "createdAt")
               SELECT "mailId" || n, kind, NULL, "contentKeyVersion", "nextAttemptAt", "expiresAt",
                      "createdAt"
               FROM "QueuedMail", generate_series(1, $1) n"#,
        )
        .bind(mails - 1)
        .execute(self.database.pool())
        .await
        .unwrap();
    }

    fn sender(&self, settings: &MailSettings) -> MailSender {
        let parts = SenderParts {
            pool: self.database.pool().clone(),
            cipher: Arc::new(self.ring.clone()),
            preparer: Arc::new(NothingToPrepare),
            transport: Transport::new(settings).unwrap(),
            from: settings.mail_from.clone(),
            links: settings.links.clone(),
            clock: self.clock.clone(),
        };
        MailSender::new(parts, settings).unwrap()
    }

    /// Waits until a process has taken a mail.
    async fn until_taken(&self) {
        eventually("a mail is taken", Duration::from_secs(60), || async {
            let sql = r#"SELECT EXISTS (SELECT FROM "QueuedMail" WHERE claims > 0)"#;
            let is_taken: bool =
                sqlx::query_scalar(sql).fetch_one(self.database.pool()).await.unwrap();
            is_taken.then_some(())
        })
        .await;
    }

    /// Returns state, attempts, last failure and whether there is a content of each mail, in the
    /// order of their ids.
    async fn rows(&self) -> Vec<(String, i32, Option<String>, bool)> {
        sqlx::query_as(
            r#"SELECT state, attempts, "lastFailure", content IS NOT NULL FROM "QueuedMail"
               ORDER BY "mailId""#,
        )
        .fetch_all(self.database.pool())
        .await
        .unwrap()
    }
}

fn settings(server: &SmtpServer) -> MailSettings {
    MailSettings {
        smtp_url: Some(server.url().parse().unwrap()),
        smtp_ca_file: Some(server.ca_file()),
        smtp_timeout: Duration::from_secs(20),
        ..MailSettings::default()
    }
}

fn row(
    state: &str,
    attempts: i32,
    failure: Option<&str>,
    has_content: bool,
) -> (String, i32, Option<String>, bool) {
    (state.to_owned(), attempts, failure.map(str::to_owned), has_content)
}

/// AUTHN-15, G9: a mail goes over SMTP with TLS from the start, with STARTTLS, or without to a
/// server on the same machine. Nothing of its content stays in the queue.
#[tokio::test]
async fn authn_15_a_mail_is_sent_over_smtp_and_dropped() {
    for encryption in [SmtpEncryption::None, SmtpEncryption::Tls, SmtpEncryption::StartTls] {
        let (desk, server) = (Desk::start().await, SmtpServer::start(encryption).await);
        desk.queue_kind(MailKind::EmailVerification, "sarah@gxtest.com").await;
        let report = desk.sender(&settings(&server)).drain().await.unwrap();
        let expected = StepReport { taken: 1, sent: 1, ..StepReport::default() };
        assert_eq!(report, expected, "{encryption:?}");
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{encryption:?}");
        assert_eq!(mails[0].to, "sarah@gxtest.com");
        assert_eq!(mails[0].is_encrypted, encryption != SmtpEncryption::None);
        let data = &mails[0].data;
        assert!(data.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{data}");
        assert!(data.contains("Auto-Submitted: auto-generated\r\n"), "{data}");
        assert!(data.contains("\r\n    01234567\r\n"), "{data}");
        assert!(data.contains("/links/verify-email?token=bcdf\r\n"), "{data}");
        assert_eq!(desk.rows().await, [row("SENT", 0, None, false)]);
    }
}

/// A certificate that the settings do not trust ends the connection before a mail is sent.
#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_mail() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::Tls).await);
    desk.queue("sarah@gxtest.com").await;
    let untrusting = MailSettings { smtp_ca_file: None, ..settings(&server) };
    let report = desk.sender(&untrusting).step().await.unwrap();
    assert!(report.outage.is_some());
    assert!(server.mails().is_empty());
    assert!(server.connections() > 0);
    assert_eq!(desk.rows().await.len(), 1);
    assert_eq!(desk.rows().await[0].0, "WAITING");
}

/// G9: a mail that the server refuses for now waits longer each time, and is given up at the end of
/// its life. An operator sees it and sends it again.
#[tokio::test]
async fn g9_a_mail_that_is_refused_is_tried_again_and_given_up_at_last() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    let id = desk.queue("sarah@gxtest.com").await;
    let mut sender = desk.sender(&settings(&server));
    server.set_plan(SmtpPlan::Answer(451));
    let mut tries = 0;
    for _ in 0..(72 * 60) {
        tries += sender.step().await.unwrap().taken;
        if desk.rows().await[0].0 == "FAILED" {
            break;
        }
        desk.clock.advance(Duration::from_secs(3_600));
    }
    assert_eq!(desk.rows().await[0].0, "FAILED");
    assert_eq!(desk.rows().await[0].2.as_deref(), Some("SMTP 451"));
    assert!((20..=80).contains(&tries), "{tries}");

    let mut conn = desk.database.connection().await;
    let filter = MailFilter { state: MailState::Failed, kind: None, below: None, limit: 10 };
    let listed = gx_mail::list(&mut conn, &filter).await.unwrap();
    assert_eq!((listed.len(), listed[0].is_retriable), (1, true));
    gx_mail::retry(&mut conn, &id, desk.clock.now()).await.unwrap();
    assert!(gx_mail::retry(&mut conn, &id, desk.clock.now()).await.is_err(), "it waits now");
    server.set_plan(SmtpPlan::Accept);
    assert_eq!(sender.drain().await.unwrap().sent, 1);
    assert_eq!(server.mails().len(), 1);
}

/// G9: a receiver that the server does not know ends the mail at once; a code in it is dropped.
#[tokio::test]
async fn g9_an_unknown_receiver_ends_a_mail() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    desk.queue("nobody@gxtest.com").await;
    desk.clock.advance(Duration::from_secs(1));
    desk.queue_kind(MailKind::PasswordReset, "nobody@gxtest.com").await;
    server.set_plan(SmtpPlan::Answer(550));
    assert_eq!(desk.sender(&settings(&server)).drain().await.unwrap().failed, 2);
    let expected =
        [row("FAILED", 0, Some("SMTP 550"), true), row("FAILED", 0, Some("SMTP 550"), false)];
    assert_eq!(desk.rows().await, expected);
    let mut conn = desk.database.connection().await;
    assert_eq!(gx_mail::retry_all(&mut conn, desk.clock.now()).await.unwrap(), 1);
}

/// G9: without a mail server mails wait for their time and no longer: a code is dropped after its
/// hour, and a notice can be sent again by an operator.
#[tokio::test]
async fn g9_mails_expire_while_no_server_is_set() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    desk.queue("sarah@gxtest.com").await;
    desk.clock.advance(Duration::from_secs(1));
    desk.queue_kind(MailKind::PasswordReset, "sarah@gxtest.com").await;
    let mut unset = desk.sender(&MailSettings::default());
    desk.clock.advance(Duration::from_hours(1));
    let report = unset.step().await.unwrap();
    assert_eq!((report.failed, report.taken), (1, 0));
    assert!(report.outage.is_some());
    let expected = [row("WAITING", 0, None, true), row("FAILED", 0, Some("expired"), false)];
    assert_eq!(desk.rows().await, expected);

    desk.clock.advance(Duration::from_hours(72));
    assert_eq!(unset.step().await.unwrap().failed, 1);
    assert_eq!(desk.rows().await[0], row("FAILED", 0, Some("expired"), true));
    let mut conn = desk.database.connection().await;
    assert_eq!(gx_mail::retry_all(&mut conn, desk.clock.now()).await.unwrap(), 1);
    assert_eq!(desk.sender(&settings(&server)).drain().await.unwrap().sent, 1);
}

/// G9: mails that this process cannot read wait longer each time, and the others are sent.
#[tokio::test]
async fn g9_unreadable_mails_do_not_stop_others() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    desk.queue("sarah@gxtest.com").await;
    desk.multiply(2).await;
    sqlx::query(
        r#"UPDATE "QueuedMail" SET kind = CASE WHEN content IS NULL THEN kind ELSE 'NEWER' END"#,
    )
    .execute(desk.database.pool())
    .await
    .unwrap();
    let mut sender = desk.sender(&settings(&server));
    let report = sender.step().await.unwrap();
    assert_eq!(report, StepReport { taken: 2, ..StepReport::default() });
    desk.queue("james@gxtest.com").await;
    assert_eq!(sender.step().await.unwrap().sent, 1);

    let mut looks = 0;
    for _ in 0..120 {
        desk.clock.advance(Duration::from_secs(60));
        looks += sender.step().await.unwrap().taken;
    }
    assert!((2..=24).contains(&looks), "{looks}");
    let rows = desk.rows().await;
    let waiting = rows.iter().filter(|row| row.0 == "WAITING" && row.1 == 0).count();
    assert_eq!(waiting, 2, "{rows:?}");
}

/// G9: a relay that takes a mail and does not answer, or hangs up, is no outage: the mail waits
/// longer each time, so that its receiver does not get it again each second.
#[tokio::test]
async fn g9_a_relay_that_ends_without_an_answer_sends_no_flood() {
    for plan in [SmtpPlan::SilentAtEnd, SmtpPlan::HangUpAtEnd] {
        let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
        desk.queue("sarah@gxtest.com").await;
        let impatient =
            MailSettings { smtp_timeout: Duration::from_millis(500), ..settings(&server) };
        let mut sender = desk.sender(&impatient);
        server.set_plan(plan);
        for tries in 1..=3 {
            let report = sender.step().await.unwrap();
            assert_eq!(report, StepReport { taken: 1, ..StepReport::default() }, "{plan:?}");
            assert_eq!(desk.rows().await[0].1, tries, "{plan:?}");
            assert_eq!(sender.step().await.unwrap().taken, 0, "{plan:?}");
            desk.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(server.mails().len(), 3, "{plan:?}");

        // The connection whose answer is still to come is not used again.
        server.set_plan(SmtpPlan::Answer(550));
        desk.clock.advance(Duration::from_hours(1));
        assert_eq!(sender.step().await.unwrap().failed, 1, "{plan:?}");
        assert_eq!(desk.rows().await[0].2.as_deref(), Some("SMTP 550"), "{plan:?}");
    }
}

/// G9: codes that a server also uses about itself are about the mail while the server takes
/// connections.
#[tokio::test]
async fn g9_one_refused_receiver_is_no_outage() {
    for (code, state, attempts) in
        [(454, "WAITING", 1), (500, "WAITING", 1), (521, "WAITING", 1), (501, "FAILED", 0)]
    {
        let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
        desk.queue("sarah@gxtest.com").await;
        server.set_plan(SmtpPlan::Answer(code));
        let report = desk.sender(&settings(&server)).step().await.unwrap();
        assert_eq!((report.taken, report.outage), (1, None), "{code}");
        let failure = format!("SMTP {code}");
        assert_eq!(desk.rows().await, [row(state, attempts, Some(&failure), true)]);
    }
}

/// G9: an operator has all mails that can be made again sent, in batches.
#[tokio::test]
async fn g9_more_mails_than_a_batch_are_retried() {
    let desk = Desk::start().await;
    desk.queue("sarah@gxtest.com").await;
    desk.multiply(1_200).await;
    sqlx::query(
        r#"UPDATE "QueuedMail" SET state = 'FAILED', "lastFailure" = 'SMTP 451',
               "settledAt" = "createdAt",
               content = CASE WHEN "mailId" NOT LIKE '%7' THEN 'x'::bytea END"#,
    )
    .execute(desk.database.pool())
    .await
    .unwrap();
    let rows = desk.rows().await;
    let retriable = rows.iter().filter(|row| row.3).count();
    let mut conn = desk.database.connection().await;
    let set = gx_mail::retry_all(&mut conn, desk.clock.now()).await.unwrap();
    assert_eq!(usize::try_from(set).unwrap(), retriable);
    let waiting = desk.rows().await.iter().filter(|row| row.0 == "WAITING").count();
    assert_eq!(waiting, retriable);
}

/// G9: a silent server and one that is gone are outages: no mail is charged, and all go when it is
/// back.
#[tokio::test]
async fn g9_an_outage_of_the_server_charges_no_mail() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    for n in 0..3 {
        desk.queue(&format!("sarah{n}@gxtest.com")).await;
    }
    let impatient = MailSettings { smtp_timeout: Duration::from_millis(50), ..settings(&server) };
    server.set_plan(SmtpPlan::Silent);
    let report = desk.sender(&impatient).step().await.unwrap();
    assert_eq!((report.taken, report.sent), (3, 0));
    assert!(report.outage.is_some());
    let rows = desk.rows().await;
    assert!(rows.iter().all(|row| row.0 == "WAITING" && row.1 == 0 && row.3), "{rows:?}");

    server.set_plan(SmtpPlan::Accept);
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!(desk.sender(&settings(&server)).drain().await.unwrap().sent, 3);
}

/// Several processes send each mail once, also 10 000 of them; the queue is read in small batches.
#[tokio::test]
async fn replicas_send_each_of_many_mails_once() {
    const MAILS: i64 = 10_000;
    let desk = Desk::start().await;
    let id = desk.queue("sarah@gxtest.com").await;
    desk.multiply(MAILS).await;
    let mails = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sender = || {
        let settings = MailSettings { smtp_connections: 64, ..MailSettings::default() };
        let parts = SenderParts {
            pool: desk.database.pool().clone(),
            cipher: Arc::new(SameContent(desk.ring.clone(), id.clone())),
            preparer: Arc::new(NothingToPrepare),
            transport: Transport::Memory(Arc::clone(&mails)),
            from: settings.mail_from.clone(),
            links: settings.links.clone(),
            clock: desk.clock.clone(),
        };
        MailSender::new(parts, &settings).unwrap()
    };
    let (mut one, mut two, mut three) = (sender(), sender(), sender());
    let (one, two, three) = tokio::join!(one.drain(), two.drain(), three.drain());
    let sent = one.unwrap().sent + two.unwrap().sent + three.unwrap().sent;
    assert_eq!(i64::try_from(sent).unwrap(), MAILS);
    assert_eq!(mails.lock().unwrap().len(), sent);
    let waiting: i64 =
        sqlx::query_scalar(r#"SELECT count(*) FROM "QueuedMail" WHERE state <> 'SENT'"#)
            .fetch_one(desk.database.pool())
            .await
            .unwrap();
    assert_eq!(waiting, 0);
}

/// A cipher that decrypts every mail to the same content, so that 10 000 rows are made by one
/// statement.
struct SameContent(KeyRing, String);

impl ContentCipher for SameContent {
    fn encrypt_content(&self, mail_id: &str, plain: &[u8]) -> gx_mail::EncryptedContent {
        self.0.encrypt_content(mail_id, plain)
    }

    fn decrypt_content(
        &self,
        _: &str,
        _: &gx_mail::EncryptedContent,
    ) -> Result<secrecy::SecretSlice<u8>, String> {
        let content = MailContent { to: "sarah@gxtest.com".to_owned(), ..MailContent::default() };
        let _of = &self.1;
        Ok(serde_json::to_vec(&content).unwrap().into())
    }
}

/// A process that dies with a mail keeps it no longer than its lease.
#[tokio::test]
async fn a_lease_ends() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    desk.queue("sarah@gxtest.com").await;
    server.set_plan(SmtpPlan::Silent);
    let mut dying = desk.sender(&settings(&server));
    let step = tokio::spawn(async move { dying.step().await });
    desk.until_taken().await;
    step.abort();
    assert!(step.await.unwrap_err().is_cancelled());

    server.set_plan(SmtpPlan::Accept);
    let mut sender = desk.sender(&settings(&server));
    desk.clock.advance(Duration::from_secs(300));
    assert_eq!(sender.step().await.unwrap().taken, 0);
    desk.clock.advance(Duration::from_secs(300));
    assert_eq!(sender.step().await.unwrap().sent, 1);
}

/// A process that was frozen with a mail settles nothing when it goes on, because another one has
/// taken the mail since.
#[tokio::test]
async fn a_late_settlement_changes_nothing() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    let slow = SmtpServer::start(SmtpEncryption::None).await;
    desk.queue("sarah@gxtest.com").await;
    slow.set_plan(SmtpPlan::Silent);
    let mut late = desk.sender(&settings(&slow));
    let step = tokio::spawn(async move { late.step().await });
    desk.until_taken().await;
    desk.clock.advance(Duration::from_secs(600));
    assert_eq!(desk.sender(&settings(&server)).step().await.unwrap().sent, 1);

    slow.set_plan(SmtpPlan::Answer(550));
    let report = step.await.unwrap().unwrap();
    assert_eq!(report, StepReport { taken: 1, ..StepReport::default() });
    assert_eq!(desk.rows().await, [row("SENT", 0, None, false)]);
}

/// A process that stops takes no new mails, and settles those in flight.
#[tokio::test]
async fn a_stop_waits_for_the_mails_in_flight() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    desk.queue("sarah@gxtest.com").await;
    server.set_plan(SmtpPlan::Silent);
    let (stop, board) = (CancellationToken::new(), HealthBoard::new("test", desk.clock.clone()));
    let run = tokio::spawn(desk.sender(&settings(&server)).run(stop.clone(), board));
    desk.until_taken().await;
    desk.clock.advance(Duration::from_secs(1));
    desk.queue("james@gxtest.com").await;
    stop.cancel();
    server.set_plan(SmtpPlan::Accept);
    run.await.unwrap();
    assert_eq!(desk.rows().await, [row("SENT", 0, None, false), row("WAITING", 0, None, true)]);
}

/// CRY-01: the queue shows neither address, code nor token, and a content that was moved to another
/// mail is not sent.
#[tokio::test]
async fn cry_01_contents_are_encrypted_and_bound_to_their_mail() {
    let (desk, server) = (Desk::start().await, SmtpServer::start(SmtpEncryption::None).await);
    desk.queue_kind(MailKind::EmailVerification, "sarah@gxtest.com").await;
    let shown: String = sqlx::query_scalar(r#"SELECT m::text FROM "QueuedMail" m"#)
        .fetch_one(desk.database.pool())
        .await
        .unwrap();
    for secret in ["sarah", "01234567", "bcdf", &hex::encode("sarah"), &hex::encode("01234567")] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    sqlx::query(r#"UPDATE "QueuedMail" SET "mailId" = 'another'"#)
        .execute(desk.database.pool())
        .await
        .unwrap();
    assert_eq!(desk.sender(&settings(&server)).step().await.unwrap().sent, 0);
    assert!(server.mails().is_empty());
}
