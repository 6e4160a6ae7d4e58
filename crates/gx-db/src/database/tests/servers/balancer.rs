//! One address in front of several servers, which get the connections in turn.

use tokio::net::{TcpListener, TcpStream};

/// Starts balancing over `ports` and returns the address's port.
pub(super) async fn start(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for server in ports.iter().cycle() {
            let Ok((mut client, _)) = listener.accept().await else { return };
            let mut server = TcpStream::connect(("127.0.0.1", *server)).await.unwrap();
            tokio::spawn(async move {
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    port
}
