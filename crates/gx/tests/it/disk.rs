//! The services on a disk that becomes full under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use gx_db::testing::{TestServer, Volume};
use gx_testkit::eventually;
use gx_testkit::story::{ServiceEndpoint, registration};
use sqlx::{Connection as _, PgConnection};

use crate::role::{Ledger, Role};
use crate::stack::{BOUND, get};

/// Size of the volume in megabytes; the database needs about twenty.
const VOLUME: u32 = 48;
const CLIENTS: u32 = 4;

/// RDY-09: the volume of the database becomes full while people register. The service names the
/// reason in readiness and health and still answers, and the workers are not ready. When there is
/// room again, both recover by themselves, and no registered person is lost.
#[tokio::test(flavor = "multi_thread")]
async fn rdy_09_a_full_disk_shows_in_readiness_and_nothing_answered_is_lost() {
    let volume = match Volume::mount(VOLUME) {
        Ok(volume) => volume,
        Err(why) => {
            eprintln!("NOT RUN: no volume can be mounted here ({why}); run it as root");
            return;
        }
    };
    let server = TestServer::start().await;
    server.move_to(&volume).await;
    let migrated = std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
        .args(["db", "migrate"])
        .env("DATABASE_URL", server.url())
        .status();
    assert!(migrated.unwrap().success());
    let ledger = Ledger::start().await;
    let identity = Role::start("svc-identity", &server.url(), &[]);
    let projector = Role::start("projector", &server.url(), &ledger.env());
    identity.wait_for_readyz(200).await;
    projector.wait_for_readyz(200).await;
    let endpoint = ServiceEndpoint::Tcp(identity.address);
    let reader = endpoint.post("/api/v1/auth/register", None, &registration(1)).await.expect(200);
    let token = reader.str("/accessToken");
    let load = Load::start(&identity);
    load.wait_for_answers(200, 8).await;

    volume.fill();
    load.wait_for_answers(503, 1).await;
    let failed = Instant::now();
    for path in ["/readyz", "/health"] {
        let health = wait_for_check(&identity, path, "unhealthy").await;
        assert_eq!(health["status"], "degraded", "{health}");
        let message = health["checks"]["databaseWrites"]["message"].as_str().unwrap();
        assert!(message.contains("No space left on device"), "{message}");
    }
    eprintln!("svc-identity said so {} ms after the first failure", failed.elapsed().as_millis());
    projector.wait_for_readyz(503).await;
    let health = wait_for_check(&projector, "/readyz", "unhealthy").await;
    assert_eq!(health["status"], "not_ready", "{health}");
    // Requests that only read are served.
    endpoint.get("/api/v1/users/me", token).await.expect(200);

    volume.free();
    let freed = Instant::now();
    wait_for_check(&identity, "/readyz", "healthy").await;
    projector.wait_for_readyz(200).await;
    eprintln!("both were well {} ms after there was room", freed.elapsed().as_millis());
    load.wait_for_answers(200, 8).await;
    let let_in = load.stop().await;
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    let known: Vec<String> =
        sqlx::query_scalar(r#"SELECT email FROM "UserProfile""#).fetch_all(&mut sql).await.unwrap();
    for email in &let_in {
        assert!(known.contains(email), "{email} was let in and is lost");
    }
    assert!(let_in.len() >= 16, "{}", let_in.len());
}

/// Waits until the check of writes has this status, and returns the whole report.
async fn wait_for_check(role: &Role, path: &str, status: &str) -> serde_json::Value {
    eventually(&format!("{} says {status}", role.name), BOUND, async || {
        let health = get(role.address, path).await.json;
        (health["checks"]["databaseWrites"]["status"] == status).then_some(health)
    })
    .await
}

/// Clients that register one person after the other.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<[AtomicU32; 2]>,
    clients: tokio::task::JoinSet<Vec<String>>,
}

impl Load {
    fn start(identity: &Role) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<[AtomicU32; 2]>::default());
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let endpoint = ServiceEndpoint::Tcp(identity.address);
            clients.spawn(async move {
                let (mut let_in, mut n) = (Vec::new(), (client + 1) * 100_000);
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let registration = registration(n);
                    let reply = endpoint.post("/api/v1/auth/register", None, &registration).await;
                    match reply.status.as_u16() {
                        200 => {
                            answered[0].fetch_add(1, Ordering::Relaxed);
                            let_in.push(registration["email"].as_str().unwrap().to_owned());
                        }
                        503 => _ = answered[1].fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}: {}", reply.text),
                    }
                }
                let_in
            });
        }
        Self { stop, answered, clients }
    }

    /// Waits for this number of further answers with this status.
    async fn wait_for_answers(&self, status: u16, more: u32) {
        let counter = &self.answered[usize::from(status == 503)];
        let before = counter.load(Ordering::Relaxed);
        eventually(&format!("{more} times {status}"), BOUND, || {
            let enough = counter.load(Ordering::Relaxed) >= before + more;
            std::future::ready(enough.then_some(()))
        })
        .await;
    }

    /// Ends the load and returns the e-mail addresses of all registered people.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.concat()
    }
}
