//! The pool of password hashes.

use gx_serve::Entropy;

use crate::{Hasher, HashingSettings, PasswordComparison};

/// Limit of every wait; longer means that a test hangs.
const BOUND: std::time::Duration = std::time::Duration::from_secs(120);

fn hasher(concurrency: u16, queue: u16) -> Hasher {
    let settings = HashingSettings {
        password_hash_concurrency: Some(concurrency),
        password_hash_queue: queue,
        ..HashingSettings::default()
    };
    Hasher::new(&settings, Entropy::system()).unwrap()
}

/// AUTHN-06: a hash is a PHC string of argon2id with m=12 MiB, t=3, p=1; a stored hash with
/// parameters above the limits is not computed. AUTHN-09: one that cannot be read matches nothing
/// and is no failure, so that no answer tells that an account has it.
#[tokio::test]
async fn hashes_are_argon2id_and_bounded() {
    let hasher = hasher(1, 4);
    let password = "correct horse battery staple".into();
    let hash = hasher.hash(&password).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
    assert_ne!(hash, hasher.hash(&password).await.unwrap(), "salts differ");
    let verified = hasher.verify(&password, Some(hash.clone())).await.unwrap();
    assert!(verified.matches);
    assert!(verified.upgrade.is_none());
    let other = "correct horse battery stapler".into();
    assert!(!hasher.verify(&other, Some(hash.clone())).await.unwrap().matches);
    assert!(!hasher.verify(&password, None).await.unwrap().matches);
    // Computing them would take 64 GB of memory and a day.
    for greedy in ["m=67108864,t=3,p=1", "m=12288,t=4000000,p=1", "m=12288,t=3,p=200"] {
        let stored = hash.replace("m=12288,t=3,p=1", greedy);
        let verifying = tokio::time::timeout(BOUND, hasher.verify(&password, Some(stored)));
        let verified = verifying.await.expect("it is refused, not computed").unwrap();
        assert!(!verified.matches, "{greedy}");
    }
    let nothing = PasswordComparison { matches: false, upgrade: None };
    let salt = "c2FsdHNhbHRzYWx0c2FsdA";
    for unreadable in [
        "",
        "no hash",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$argon2id$v=19$m=12288,t=3,p=1",
        &format!("$argon2id$v=19$m=12288,t=3,p=1${salt}"),
        &format!("$argon2x$v=19$m=12288,t=3,p=1${salt}${salt}"),
        &format!("$argon2id$v=18$m=12288,t=3,p=1${salt}${salt}"),
    ] {
        let compared = hasher.verify(&password, Some(unreadable.to_owned())).await.unwrap();
        assert_eq!(compared, nothing, "{unreadable}");
    }
}

/// A flood beyond the queue is rejected with 503 and Retry-After, and every admitted request is
/// answered.
#[tokio::test]
async fn beyond_the_queue_a_flood_is_refused() {
    use axum::response::IntoResponse;
    let hasher = hasher(1, 3);
    // The one slot is held until all have asked, so that the queue fills even on a slow machine.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (holds, holding) = tokio::sync::oneshot::channel();
    let holder = hasher.clone();
    let holder = tokio::spawn(async move {
        let hold = move || {
            holds.send(()).unwrap();
            held.recv().unwrap();
        };
        holder.run(hold).await
    });
    holding.await.unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..19 {
        let hasher = hasher.clone();
        flood.spawn(async move { hasher.hash(&"correct horse battery staple".into()).await });
    }
    let mut refused = Vec::new();
    while refused.len() < 16 {
        refused.push(flood.join_next().await.unwrap().unwrap().expect_err("the queue is full"));
    }
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    let answered = flood.join_all().await;
    assert_eq!(answered.len(), 3, "those that waited");
    for answer in answered {
        answer.unwrap();
    }
    for problem in refused {
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
