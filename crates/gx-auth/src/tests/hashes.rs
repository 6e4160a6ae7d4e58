//! The pool of password hashes.

use gx_serve::Entropy;

use crate::{Hasher, HashingSettings};

fn hasher(concurrency: u16, queue: u16) -> Hasher {
    let settings = HashingSettings {
        password_hash_concurrency: Some(concurrency),
        password_hash_queue: queue,
        ..HashingSettings::default()
    };
    Hasher::new(&settings, Entropy::system()).unwrap()
}

/// AUTHN-06: a hash is a PHC string of argon2id with m=12 MiB, t=3, p=1; parameters of a
/// stored hash beyond the bounds are not computed.
#[tokio::test]
async fn hashes_are_argon2id_and_bounded() {
    let hasher = hasher(1, 4);
    let password = "correct horse battery staple".into();
    let hash = hasher.hash(&password).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
    assert_ne!(hash, hasher.hash(&password).await.unwrap(), "salts differ");
    let verified = hasher.verify(&password, Some(hash.clone())).await.unwrap();
    assert!(verified.matches && verified.upgrade.is_none());
    let other = "correct horse battery stapler".into();
    assert!(!hasher.verify(&other, Some(hash.clone())).await.unwrap().matches);
    assert!(!hasher.verify(&password, None).await.unwrap().matches);
    for greedy in ["m=4194304,t=3,p=1", "m=12288,t=4000000,p=1", "m=12288,t=3,p=200"] {
        let stored = hash.replace("m=12288,t=3,p=1", greedy);
        let began = tokio::time::Instant::now();
        assert!(!hasher.verify(&password, Some(stored)).await.unwrap().matches, "{greedy}");
        assert!(began.elapsed() < std::time::Duration::from_secs(1), "{greedy}");
    }
    assert!(hasher.verify(&password, Some("no hash".to_owned())).await.is_err());
}

/// A flood is refused beyond the queue, with 503 and Retry-After, and everything that was
/// admitted is answered.
#[tokio::test]
async fn beyond_the_queue_a_flood_is_refused() {
    use axum::response::IntoResponse;
    let hasher = hasher(1, 3);
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let hasher = hasher.clone();
        flood.spawn(async move { hasher.hash(&"correct horse battery staple".into()).await });
    }
    let results = flood.join_all().await;
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!((results.len() - refused.len(), refused.len()), (4, 16));
    for problem in refused {
        let response = problem.clone().into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
