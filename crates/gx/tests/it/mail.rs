//! Mails of the development stack: from the file in its folder to a confirmed address.

use std::fs;

use gx_testkit::eventually;
use gx_testkit::http::{request, send_tls};
use gx_testkit::story::registration;
use serde_json::json;

use crate::stack::{BOUND, Stack, address};

/// AUTHN-14, AUTHN-15: with `gx dev` alone a person registers, finds the mail in the folder of the
/// stack and at `/dev/mail`, confirms the address with its code, resets the password with the link
/// of another mail, and finds all sessions ended.
#[tokio::test(flavor = "multi_thread")]
async fn authn_15_a_person_confirms_and_resets_with_mails_of_the_stack() {
    let stack = Stack::start().await;
    let (gx, email) = (stack.gx(), registration(1)["email"].clone());
    let person = gx.register(1).await;
    let token = Some(person.token.as_str());
    let path = "/api/v1/auth/email/verification";
    gx.identity.post(path, token, &json!({})).await.expect(202);
    let mail = mail_about(&stack, "Confirm your e-mail address").await;
    let codes: Vec<&str> =
        body(&mail).split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 6).collect();
    assert_eq!(codes.len(), 1, "{mail}");
    let path = "/api/v1/auth/email/verify";
    gx.identity.post(path, token, &json!({ "code": codes[0] })).await.expect(204);
    let me = gx.identity.get("/api/v1/users/me", &person.token).await.expect(200);
    assert_eq!(me.json["user"]["emailVerified"], true);

    let edge = address(&stack.env("GX_EDGE_URL").replace("localhost", "127.0.0.1"));
    let certificate = fs::read_to_string(stack.data_dir().join("edge.pem")).unwrap();
    let list = request(http::Method::GET, "/dev/mail", None, None);
    let list = send_tls(edge, &certificate, list).await.unwrap().expect(200);
    assert!(list.text.contains("Confirm your e-mail address"), "{}", list.text);

    let path = "/api/v1/auth/password/forgot";
    gx.identity.post(path, None, &json!({ "email": email })).await.expect(202);
    let mail = mail_about(&stack, "Set a new password").await;
    let port = stack.port(8443);
    let link = format!("https://localhost:{port}/links/reset-password?token=");
    let (_, rest) = body(&mail).split_once(&link).unwrap();
    let link = rest.split_whitespace().next().unwrap();
    let page =
        request(http::Method::GET, &format!("/links/reset-password?token={link}"), None, None);
    let page = send_tls(edge, &certificate, page).await.unwrap().expect(200);
    assert!(page.text.contains("<form"), "{}", page.text);
    let reset = json!({ "token": link, "newPassword": "four random words here" });
    gx.identity.post("/api/v1/auth/password/reset", None, &reset).await.expect(204);
    gx.identity.get("/api/v1/users/me", &person.token).await.expect(401);
}

/// Waits for the mail with this subject in the folder of the stack.
async fn mail_about(stack: &Stack, subject: &str) -> String {
    let folder = stack.data_dir().join("mail");
    let line = format!("Subject: {subject}\r\n");
    eventually("the mail is written", BOUND, async || {
        let entries = fs::read_dir(&folder).ok()?;
        let files = entries.map(|entry| entry.unwrap().path());
        let mails = files.filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
        mails.filter_map(|path| fs::read_to_string(path).ok()).find(|mail| mail.contains(&line))
    })
    .await
}

/// Returns the text of a mail.
fn body(mail: &str) -> &str {
    mail.split_once("\r\n\r\n").unwrap().1
}
