//! The clients: their requests, the answers, and repeated requests. A run asks for them as actions,
//! and the checks compare the answers with the outbox. An `Err` is an answer that no client may
//! get.

use std::fmt;

use gx_model::{Command, ReasonCode};
use gx_testkit::http::{Reply, request};
use http::{HeaderValue, Method};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::environment::Environment;

/// A request of a client. Repeating it asks for the same.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// The administrator approves a person.
    Approve(usize),
    /// A person pays another, in Qirat.
    Pay { from: usize, to: usize, amount: i64, key: String },
    /// The administrator freezes a person, or ends that.
    Freeze(usize, bool),
    /// The system is paused or resumed. The command is enqueued directly, as a service does.
    Pause(bool, String),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approve(who) => write!(f, "approve person {who}"),
            Self::Pay { from, to, amount, key } => {
                write!(f, "{key}: person {from} pays {amount} to person {to}")
            }
            Self::Freeze(who, true) => write!(f, "freeze person {who}"),
            Self::Freeze(who, false) => write!(f, "unfreeze person {who}"),
            Self::Pause(true, key) => write!(f, "{key}: pause the system"),
            Self::Pause(false, key) => write!(f, "{key}: resume the system"),
        }
    }
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) request: Request,
    /// The command ids of a 2xx answer; empty without such an answer.
    pub(crate) promised: Vec<String>,
    /// Whether a restore has undone the answer.
    pub(crate) undone: bool,
}

/// All requests of a run.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    pub(crate) entries: Vec<Entry>,
    /// Number of requests so far, from which the next key is made.
    asked: u32,
}

impl ClientLog {
    /// Sends a new request and returns a description of request and answer.
    pub(crate) async fn ask(
        &mut self,
        env: &Environment,
        rng: &mut StdRng,
    ) -> Result<String, String> {
        self.asked += 1;
        let key = format!("w{}", self.asked);
        let people = env.people.len();
        let who = rng.random_range(0..people);
        let request = match rng.random_range(0..20) {
            0..=4 => Request::Approve(who),
            5..=16 => {
                // Mostly between people who have an account on the ledger.
                let from = if rng.random_bool(0.9) { who % env.participants } else { who };
                let to = (from + rng.random_range(1..people)) % people;
                let to = if rng.random_bool(0.7) { to % env.participants } else { to };
                // From an amount without a fee to more than any person has.
                let amount = 10_i64.pow(rng.random_range(3..=8)) * rng.random_range(1..=6);
                Request::Pay { from, to, amount, key }
            }
            17 | 18 => Request::Freeze(who, rng.random_bool(0.5)),
            _ => Request::Pause(rng.random_bool(0.4), key),
        };
        let twice = rng.random_bool(0.15);
        let lost = rng.random_bool(0.2);
        let said = self.send(env, request, twice, lost).await?;
        let twice = if twice { ", twice" } else { "" };
        let lost = if lost { ", unheard" } else { "" };
        Ok(format!("{said}{twice}{lost}"))
    }

    /// Repeats an earlier request, or sends a new one if there is none.
    pub(crate) async fn repeat(
        &mut self,
        env: &Environment,
        rng: &mut StdRng,
    ) -> Result<String, String> {
        if self.entries.is_empty() {
            return self.ask(env, rng).await;
        }
        let index = rng.random_range(0..self.entries.len());
        let request = self.entries[index].request.clone();
        let said = self.send(env, request, false, rng.random_bool(0.2)).await?;
        Ok(format!("again {said}"))
    }

    /// Sends a request, twice at the same time if `twice`, and records the answer unless it is
    /// lost.
    pub(crate) async fn send(
        &mut self,
        env: &Environment,
        request: Request,
        twice: bool,
        lost: bool,
    ) -> Result<String, String> {
        let mut promised = Vec::new();
        let mut is_taken = false;
        let replies = if twice {
            let (one, other) = tokio::join!(deliver(env, &request), deliver(env, &request));
            vec![one, other]
        } else {
            vec![deliver(env, &request).await]
        };
        for reply in replies {
            // Transfers are answered with this problem while the system is paused.
            if reply.status >= 500 && reply.json["code"] != "system_paused" {
                return Err(format!("{request}: {}", reply.json));
            }
            is_taken |= reply.status < 300;
            if reply.status < 300 && !lost {
                promised.extend(command_ids(&reply.json));
            }
        }
        let said = format!("{request}: {}", if is_taken { "taken" } else { "refused" });
        self.entries.push(Entry { request, promised, undone: false });
        Ok(said)
    }
}

/// The parts of an answer that matter here.
struct Answer {
    status: u16,
    json: Value,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status.as_u16(), json: reply.json }
    }
}

async fn deliver(env: &Environment, request: &Request) -> Answer {
    match request {
        Request::Approve(who) => env.gx.approve(&env.admin, &env.person(*who)).await.into(),
        Request::Pay { from, to, amount, key } => pay(env, *from, *to, *amount, key).await,
        Request::Freeze(who, freeze) => {
            let word = if *freeze { "freeze" } else { "unfreeze" };
            let path = format!("/api/v1/admin/users/{}/{word}", env.person(*who).profile_id);
            let body = json!({ "reason": "COMPLIANCE_REVIEW" });
            env.gx.admin.post(&path, Some(&env.admin), &body).await.into()
        }
        Request::Pause(pause, key) => {
            let command = if *pause {
                let reason_code: ReasonCode = "MAINTENANCE".parse().unwrap();
                Command::PauseSystem { reason_code }
            } else {
                Command::ResumeSystem {}
            };
            let id = env.request(&command, key).await;
            Answer { status: 202, json: json!({ "commandId": id.to_string() }) }
        }
    }
}

async fn pay(env: &Environment, from: usize, to: usize, amount: i64, key: &str) -> Answer {
    let Some(receiver) = fabric_user_id(env, to).await else {
        return Answer { status: 404, json: Value::Null };
    };
    let text = format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
    let body = json!({ "to": receiver, "amount": text });
    let token = &env.people[from].token;
    let mut request = request(Method::POST, "/api/v1/transfers", Some(token), Some(&body));
    let key = HeaderValue::from_str(&format!("\"{key}\"")).unwrap();
    request.headers_mut().insert("idempotency-key", key);
    env.gx.tokenomics.send(request).await.into()
}

/// Returns the Fabric User ID that a person would read on another person's screen, or `None` if the
/// ledger has not confirmed one.
async fn fabric_user_id(env: &Environment, who: usize) -> Option<String> {
    sqlx::query_scalar(r#"SELECT "fabricUserId" FROM "UserProfile" WHERE "profileId" = $1"#)
        .bind(&env.people[who].profile_id)
        .fetch_one(&env.pool)
        .await
        .unwrap()
}

fn command_ids(json: &Value) -> Vec<String> {
    let one = json.get("commandId").and_then(Value::as_str);
    let many = json.get("commandIds").and_then(Value::as_array);
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many).map(str::to_owned).collect()
}
