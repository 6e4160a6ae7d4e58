use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A folder of one test, deleted with its server.
struct Place {
    folder: PathBuf,
    _parent: TempDir,
}

impl Place {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        // The unprivileged user can reach it, like a typical working copy.
        std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder: parent.path().join("postgres"), _parent: parent }
    }

    async fn start(&self) -> PrivateCluster {
        PrivateCluster::start(self.options()).await.unwrap()
    }

    async fn start_durable(&self) -> PrivateCluster {
        PrivateCluster::start(ClusterOptions { durable: true, ..self.options() }).await.unwrap()
    }

    fn options(&self) -> ClusterOptions {
        let first_port = 28_500 + u16::from(rand::random::<u8>()) * 8;
        ClusterOptions { first_port, durable: false, ..ClusterOptions::new(&self.folder) }
    }

    fn postmaster(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.postmaster()]).status().unwrap().success()
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(server) = Owner::of(&self.folder)
            .and_then(|owner| Server::open(self.folder.canonicalize().unwrap_or_default(), owner))
        else {
            return;
        };
        server.stop_command("immediate").status().ok();
    }
}

async fn execute(cluster: &PrivateCluster, sql: &'static str) {
    let mut conn = PgConnection::connect(&cluster.url()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
}

#[tokio::test]
async fn a_cluster_keeps_port_password_and_data_over_a_stop() {
    let place = Place::new();
    let first = place.start().await;
    let (url, port) = (first.url(), first.port());
    execute(&first, "CREATE TABLE thing (x int)").await;
    let mode = place.folder.join("password").metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    first.stop().await.unwrap();
    assert!(PgConnection::connect(&url).await.is_err());

    let second = place.start().await;
    assert_eq!((second.url(), second.port(), second.adopted()), (url.clone(), port, false));
    execute(&second, "SELECT x FROM thing").await;
    drop(second);

    PrivateCluster::delete(&place.folder).await.unwrap();
    assert!(!place.folder.exists());
    assert!(PgConnection::connect(&url).await.is_err());
    PrivateCluster::delete(&place.folder).await.unwrap();
}

#[tokio::test]
async fn a_server_that_survived_is_adopted_and_a_killed_one_recovered() {
    let place = Place::new();
    let first = place.start_durable().await;
    execute(&first, "CREATE TABLE thing (x int)").await;
    drop(first);
    let pid = place.postmaster();
    let second = place.start().await;
    assert!(second.adopted());
    assert_eq!(place.postmaster(), pid);
    execute(&second, "INSERT INTO thing VALUES (1)").await;

    place.signal("-KILL");
    drop(second);
    let third = place.start_durable().await;
    assert!(!third.adopted());
    assert_ne!(place.postmaster(), pid);
    execute(&third, "SELECT 1 / count(*) FROM thing").await;
}

#[tokio::test]
async fn a_surviving_server_that_does_not_answer_is_replaced() {
    let place = Place::new();
    drop(place.start().await);
    let pid = place.postmaster();
    place.signal("-STOP");
    let second = place.start().await;
    assert!(!second.adopted());
    assert_ne!(place.postmaster(), pid);
}

#[tokio::test]
async fn a_taken_port_gives_way_to_the_next_and_that_is_kept() {
    let place = Place::new();
    let first = place.start().await;
    let port = first.port();
    first.stop().await.unwrap();
    let other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let second = place.start().await;
    let moved = second.port();
    assert!(moved > port, "{moved} after {port}");
    second.stop().await.unwrap();
    drop(other);
    assert_eq!(place.start().await.port(), moved);
}

#[tokio::test]
async fn one_holder_a_cluster_and_an_interrupted_first_start_is_done_over() {
    let place = Place::new();
    std::fs::create_dir_all(place.folder.join("data.unfinished/base")).unwrap();
    let _held = place.start().await;
    let error = PrivateCluster::start(place.options()).await.unwrap_err();
    assert!(matches!(error, ClusterError::InUse(_)), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_said_in_one_sentence() {
    let error = PrivateCluster::start(ClusterOptions::new("/dev/null/x")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/dev/null") && text.contains("--data-dir"), "{text}");
}

/// For root, if the server's user cannot reach the wanted folder.
#[tokio::test]
async fn a_place_closed_to_the_servers_user_becomes_a_link_to_an_open_one() {
    if Owner::of(Path::new("/")).unwrap() == Owner::Myself {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let folder = parent.path().join("postgres");
    let cluster = PrivateCluster::start(ClusterOptions {
        durable: false,
        first_port: 30_900,
        ..ClusterOptions::new(&folder)
    })
    .await
    .unwrap();
    let real = cluster.folder().to_owned();
    assert!(real.starts_with("/var/lib/gx"), "{}", real.display());
    assert_eq!(std::fs::read_link(&folder).unwrap(), real);
    assert!(folder.join("data/PG_VERSION").exists());
    cluster.stop().await.unwrap();
    PrivateCluster::delete(&folder).await.unwrap();
    assert!(!real.exists());
    assert!(std::fs::symlink_metadata(&folder).is_err());
}
