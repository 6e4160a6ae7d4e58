//! People who pay each other again and again, and repeat each order until it is answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gx_testkit::http::request;
use gx_testkit::story::{Person, Services};
use http::{HeaderValue, Method};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::journey::wait_for_grant;
use crate::stack::Stack;

/// Number of people.
pub(super) const PEOPLE: u32 = 4;
/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(20);

/// A transfer whose order was accepted.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) payer: Person,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) qirat: i64,
    pub(super) command_id: String,
}

/// The running payers.
pub(super) struct Payers {
    tasks: Vec<JoinHandle<()>>,
    answered: Arc<Mutex<Vec<Answered>>>,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Payers {
    /// Makes all people participants, then starts their payments.
    pub(super) async fn start(stack: &Stack) -> Self {
        let (gx, admin) = (stack.gx(), stack.admin_token().await);
        let mut people = Vec::new();
        for n in 1..=PEOPLE {
            let person = gx.register(n).await;
            gx.submit(&person).await;
            let approved = gx.approve(&admin, &person).await.expect(200);
            people.push((n, person, approved.str("/fabricUserId").to_owned()));
        }
        for (_, person, _) in &people {
            wait_for_grant(&gx, person).await;
        }
        let (answered, count) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let payer = |at: usize| {
            let (n, person, id) = people[at].clone();
            Payer {
                gx: gx.clone(),
                n,
                person,
                id,
                receiver: people[(at + 1) % people.len()].2.clone(),
                answered: Arc::clone(&answered),
                count: Arc::clone(&count),
                stop: Arc::clone(&stop),
            }
        };
        let tasks = (0..people.len()).map(|at| tokio::spawn(payer(at).pay())).collect();
        Self { tasks, answered, count, stop }
    }

    /// Returns the number of accepted orders so far.
    pub(super) fn answered(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for the present orders and returns all accepted ones.
    pub(super) async fn stop(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let answered = self.answered.lock().unwrap().clone();
        assert!(!answered.is_empty(), "nobody paid anybody");
        answered
    }
}

struct Payer {
    gx: Services,
    n: u32,
    person: Person,
    id: String,
    receiver: String,
    answered: Arc<Mutex<Vec<Answered>>>,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Payer {
    async fn pay(mut self) {
        let mut number = 0_u32;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            let qirat = i64::from(number % 9 + 1) * 1_000;
            let Some(command_id) = self.order(number, qirat).await else { continue };
            let (payer, from) = (self.person.clone(), self.id.clone());
            let to = self.receiver.clone();
            let one = Answered { payer, from, to, qirat, command_id };
            self.answered.lock().unwrap().push(one);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Repeats an order with one key until it is answered. Returns the command's id, or `None` if
    /// too many transfers are pending.
    async fn order(&mut self, number: u32, qirat: i64) -> Option<String> {
        let amount = format!("0.{qirat:06}");
        let body = json!({ "to": self.receiver, "amount": amount });
        loop {
            let mut order =
                request(Method::POST, "/api/v1/transfers", Some(&self.person.token), Some(&body));
            let key = format!("\"{}-{number}\"", self.n);
            order.headers_mut().insert("idempotency-key", HeaderValue::from_str(&key).unwrap());
            let reply = self.gx.tokenomics.try_send(order).await;
            let status = reply.as_ref().map_or(0, |reply| reply.status.as_u16());
            match (status, reply) {
                (202, Ok(reply)) => return Some(reply.str("/commandId").to_owned()),
                (409, Ok(reply)) if reply.text.contains("too_many_pending") => {
                    tokio::time::sleep(PAUSE).await;
                    return None;
                }
                // The service is down, cannot write now, or still works on the same order.
                (0 | 409 | 429 | 500..=599, _) => tokio::time::sleep(PAUSE).await,
                (401, _) => self.log_in().await,
                (_, reply) => panic!("{status}: {:?}", reply.map(|reply| reply.text)),
            }
        }
    }

    /// Gets a new token, or keeps the old one if the service is down.
    async fn log_in(&mut self) {
        let registered = gx_testkit::story::registration(self.n);
        let credentials =
            json!({ "email": registered["email"], "password": registered["password"] });
        let log_in = request(Method::POST, "/api/v1/auth/login", None, Some(&credentials));
        if let Ok(reply) = self.gx.identity.try_send(log_in).await
            && reply.status == 200
        {
            self.person.token = reply.str("/accessToken").to_owned();
        }
    }
}
