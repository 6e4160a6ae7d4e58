//! What people and administrators do, as functions that send HTTP requests: register, log in, hand
//! documents in, submit, approve, pay. The services are routers in this process or servers in
//! others. Called by tests and the simulation. A function that returns no `Reply` expects success
//! and panics otherwise.

use std::net::SocketAddr;

use ::http::{HeaderName, HeaderValue, Method, Request, header};
use axum::Router;
use axum::body::Body;
use gx_documents::testing::{Form, passport_form, selfie_form};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::http::{HttpError, Reply, request, send};

/// A service that tests send requests to.
#[derive(Clone, Debug)]
pub enum ServiceEndpoint {
    /// A router in this process.
    Router(Router),
    /// A server at a TCP address.
    Tcp(SocketAddr),
}

impl ServiceEndpoint {
    /// Sends one request and returns the reply.
    ///
    /// # Errors
    /// If no whole reply came, which never happens with a router.
    pub async fn try_send(&self, request: Request<Body>) -> Result<Reply, HttpError> {
        match self {
            Self::Router(router) => {
                let reply = router.clone().oneshot(request).await?;
                Ok(Reply::read(reply).await?)
            }
            Self::Tcp(address) => send(*address, request).await,
        }
    }

    /// Sends one request, which must be answered, and returns the reply.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// Sends a GET with a token.
    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.send(request(Method::GET, path, Some(token), None)).await
    }

    /// Hands a document in and returns the reply, whatever its status.
    pub async fn hand_in(&self, token: &str, form: Form) -> Reply {
        let Form { content_type, body } = form;
        let mut request = request(Method::POST, DOCUMENTS, Some(token), None);
        let content_type = HeaderValue::from_str(&content_type).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        *request.body_mut() = Body::from(body);
        self.send(request).await
    }

    /// Sends a POST with a JSON body, and with a token if there is one.
    pub async fn post(&self, path: &str, token: Option<&str>, json: &Value) -> Reply {
        self.send(request(Method::POST, path, token, Some(json))).await
    }
}

/// The three services.
#[derive(Clone, Debug)]
pub struct Services {
    /// svc-identity
    pub identity: ServiceEndpoint,
    /// svc-tokenomics
    pub tokenomics: ServiceEndpoint,
    /// svc-admin
    pub admin: ServiceEndpoint,
}

/// A registered person, with the access token of the registration.
#[derive(Clone, Debug)]
pub struct Person {
    /// The profile's id.
    pub profile_id: String,
    /// The access token.
    pub token: String,
}

/// The route of a person's documents.
const DOCUMENTS: &str = "/api/v1/users/me/kyc/documents";
/// The password of all people.
pub const PASSWORD: &str = "SecurePassword123!";

/// Returns the registration of person number `n`: a Malaysian woman born on 1992-08-20.
pub fn registration(n: u32) -> Value {
    json!({
        "fname": "Sarah", "lname": "Johnson", "email": format!("sarah{n}@gxtest.com"),
        "phoneNum": format!("+6012{:07}", 3_456_789 + n), "password": PASSWORD,
        "nationalityCountryCode": "MY", "dateOfBirth": "1992-08-20", "gender": "female",
    })
}

impl Services {
    /// Registers person number `n`.
    pub async fn register(&self, n: u32) -> Person {
        self.register_as(&registration(n)).await
    }

    /// Registers person number `n` as a citizen of another country.
    pub async fn register_in(&self, country: &str, n: u32) -> Person {
        let mut registration = registration(n);
        registration["nationalityCountryCode"] = country.into();
        self.register_as(&registration).await
    }

    async fn register_as(&self, registration: &Value) -> Person {
        let reply =
            self.identity.post("/api/v1/auth/register", None, registration).await.expect(200);
        Person {
            profile_id: reply.str("/user/profileId").to_owned(),
            token: reply.str("/accessToken").to_owned(),
        }
    }

    /// Logs person number `n` in and returns the access token.
    pub async fn log_in(&self, n: u32) -> String {
        let credentials = json!({ "email": registration(n)["email"], "password": PASSWORD });
        let reply = self.identity.post("/api/v1/auth/login", None, &credentials).await;
        reply.expect(200).str("/accessToken").to_owned()
    }

    /// Hands a passport and a selfie in and submits the person for review.
    pub async fn submit(&self, person: &Person) {
        for form in [passport_form(), selfie_form()] {
            self.identity.hand_in(&person.token, form).await.expect(201);
        }
        self.identity
            .post("/api/v1/users/me/kyc/submit", Some(&person.token), &json!({}))
            .await
            .expect(200);
    }

    /// Logs an administrator in and returns the access token.
    pub async fn log_in_admin(&self, email: &str, password: &str) -> String {
        let credentials = json!({ "email": email, "password": password });
        let reply = self.admin.post("/api/v1/admin/auth/login", None, &credentials).await;
        reply.expect(200).str("/accessToken").to_owned()
    }

    /// Approves a person and returns the reply, whatever its status.
    pub async fn approve(&self, admin_token: &str, person: &Person) -> Reply {
        let path = format!("/api/v1/admin/users/{}/approve", person.profile_id);
        self.admin.post(&path, Some(admin_token), &json!({})).await
    }

    /// Returns the person's wallet, or `None` if there is none, which any other status than 200
    /// means.
    pub async fn wallet(&self, person: &Person) -> Option<Reply> {
        let reply = self.tokenomics.get("/api/v1/wallets/me", &person.token).await;
        (reply.status == 200).then_some(reply)
    }

    /// Returns the person's balance in GX. The person must have a wallet.
    pub async fn balance(&self, person: &Person) -> String {
        self.wallet(person).await.expect("a wallet").str("/balance").to_owned()
    }

    /// Returns the person's Fabric User ID, which the ledger must have confirmed.
    pub async fn id_of(&self, person: &Person) -> String {
        let wallet = self.wallet(person).await.expect("on the ledger");
        wallet.str("/fabricUserId").to_owned()
    }

    /// Orders a transfer and returns the reply, whatever its status.
    pub async fn pay(&self, payer: &Person, key: &str, to: &str, amount: &str) -> Reply {
        let order = json!({ "to": to, "amount": amount });
        let path = "/api/v1/transfers";
        let mut request = request(Method::POST, path, Some(&payer.token), Some(&order));
        let key = HeaderValue::from_str(&format!("\"{key}\"")).unwrap();
        request.headers_mut().insert(HeaderName::from_static("idempotency-key"), key);
        self.tokenomics.send(request).await
    }

    /// Asks for the state of a transfer and returns the reply, whatever its status.
    pub async fn follow(&self, person: &Person, command_id: &str) -> Reply {
        self.tokenomics.get(&format!("/api/v1/transfers/{command_id}"), &person.token).await
    }
}
