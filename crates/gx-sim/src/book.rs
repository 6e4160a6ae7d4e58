//! The clients: what they asked for, what they were answered, and what they ask again.

use std::fmt;

use gx_model::{Command, ReasonCode};
use gx_testkit::http::{Reply, request};
use http::{HeaderValue, Method};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::stage::Stage;

/// What somebody wants. Asking again means asking for the same.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// The administrator approves a person.
    Approve(usize),
    /// A person pays another, in Qirat.
    Pay { from: usize, to: usize, amount: i64, key: String },
    /// The administrator freezes a person, or ends that.
    Freeze(usize, bool),
    /// The system is paused, or goes on; asked of the outbox as a service does.
    Pause(bool, String),
}

impl fmt::Display for Want {
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

/// A request and what its client was told.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) want: Want,
    /// The commands that a 2xx answer named; none without such an answer.
    pub(crate) promised: Vec<String>,
    /// A restore has undone the answer.
    pub(crate) undone: bool,
}

/// All requests of a run.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) entries: Vec<Entry>,
    /// Requests so far: the next one's name.
    asked: u32,
}

impl Book {
    /// Asks for something new; what was asked and answered, in words.
    pub(crate) async fn ask(&mut self, stage: &Stage, rng: &mut StdRng) -> Result<String, String> {
        self.asked += 1;
        let key = format!("w{}", self.asked);
        let people = stage.people.len();
        let who = rng.random_range(0..people);
        let want = match rng.random_range(0..20) {
            0..=4 => Want::Approve(who),
            5..=16 => {
                // Mostly between those who can.
                let from = if rng.random_bool(0.9) { who % stage.participants } else { who };
                let to = (from + rng.random_range(1..people)) % people;
                let to = if rng.random_bool(0.7) { to % stage.participants } else { to };
                // From nothing worth a fee to more than anybody has.
                let amount = 10_i64.pow(rng.random_range(3..=8)) * rng.random_range(1..=6);
                Want::Pay { from, to, amount, key }
            }
            17 | 18 => Want::Freeze(who, rng.random_bool(0.5)),
            _ => Want::Pause(rng.random_bool(0.4), key),
        };
        let twice = rng.random_bool(0.15);
        let lost = rng.random_bool(0.2);
        let said = self.send(stage, want, twice, lost).await?;
        let twice = if twice { ", twice" } else { "" };
        let lost = if lost { ", unheard" } else { "" };
        Ok(format!("{said}{twice}{lost}"))
    }

    /// Repeats an earlier request.
    pub(crate) async fn repeat(
        &mut self,
        stage: &Stage,
        rng: &mut StdRng,
    ) -> Result<String, String> {
        if self.entries.is_empty() {
            return self.ask(stage, rng).await;
        }
        let index = rng.random_range(0..self.entries.len());
        let want = self.entries[index].want.clone();
        let said = self.send(stage, want, false, rng.random_bool(0.2)).await?;
        Ok(format!("again {said}"))
    }

    /// Sends a request, at once twice if so wished, and notes the answer unless it is lost.
    pub(crate) async fn send(
        &mut self,
        stage: &Stage,
        want: Want,
        twice: bool,
        lost: bool,
    ) -> Result<String, String> {
        let mut promised = Vec::new();
        let mut is_taken = false;
        let replies = if twice {
            let (one, other) = tokio::join!(deliver(stage, &want), deliver(stage, &want));
            vec![one, other]
        } else {
            vec![deliver(stage, &want).await]
        };
        for reply in replies {
            // Nobody can order while the system is paused, and is told so.
            if reply.status >= 500 && reply.json["code"] != "system_paused" {
                return Err(format!("{want}: {}", reply.json));
            }
            is_taken |= reply.status < 300;
            if reply.status < 300 && !lost {
                promised.extend(command_ids(&reply.json));
            }
        }
        let said = format!("{want}: {}", if is_taken { "taken" } else { "refused" });
        self.entries.push(Entry { want, promised, undone: false });
        Ok(said)
    }
}

/// An answer as far as it matters here.
struct Answer {
    status: u16,
    json: Value,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status.as_u16(), json: reply.json }
    }
}

async fn deliver(stage: &Stage, want: &Want) -> Answer {
    match want {
        Want::Approve(who) => stage.gx.approve(&stage.admin, &stage.people[*who]).await.into(),
        Want::Pay { from, to, amount, key } => pay(stage, *from, *to, *amount, key).await,
        Want::Freeze(who, freeze) => {
            let word = if *freeze { "freeze" } else { "unfreeze" };
            let path = format!("/api/v1/admin/users/{}/{word}", stage.people[*who].profile_id);
            let body = json!({ "reason": "COMPLIANCE_REVIEW" });
            stage.gx.admin.post(&path, Some(&stage.admin), &body).await.into()
        }
        Want::Pause(pause, key) => {
            let command = if *pause {
                let reason_code: ReasonCode = "MAINTENANCE".parse().unwrap();
                Command::PauseSystem { reason_code }
            } else {
                Command::ResumeSystem {}
            };
            let id = stage.want(&command, key).await;
            Answer { status: 202, json: json!({ "commandId": id.to_string() }) }
        }
    }
}

async fn pay(stage: &Stage, from: usize, to: usize, amount: i64, key: &str) -> Answer {
    let Some(receiver) = fabric_user_id(stage, to).await else {
        return Answer { status: 404, json: Value::Null };
    };
    let text = format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
    let body = json!({ "to": receiver, "amount": text });
    let token = &stage.people[from].token;
    let mut request = request(Method::POST, "/api/v1/transfers", Some(token), Some(&body));
    let key = HeaderValue::from_str(&format!("\"{key}\"")).unwrap();
    request.headers_mut().insert("idempotency-key", key);
    stage.gx.tokenomics.send(request).await.into()
}

/// What somebody would read on a friend's screen.
async fn fabric_user_id(stage: &Stage, who: usize) -> Option<String> {
    sqlx::query_scalar(r#"SELECT "fabricUserId" FROM "UserProfile" WHERE "profileId" = $1"#)
        .bind(&stage.people[who].profile_id)
        .fetch_one(stage.database.pool())
        .await
        .unwrap()
}

fn command_ids(json: &Value) -> Vec<String> {
    let one = json.get("commandId").and_then(Value::as_str);
    let many = json.get("commandIds").and_then(Value::as_array);
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many).map(str::to_owned).collect()
}
