//! A proxy between client and ledger whose connections can be cut, redirected or frozen.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the proxy does with new connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Connects them to the target.
    Pass,
    /// Closes them at once.
    Close,
    /// Keeps them open and never answers.
    Silent,
    /// Answers them, but not with TLS.
    PlainText,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    route: Arc<Mutex<(Mode, u16)>>,
    freezes: watch::Sender<u64>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let route = Arc::new(Mutex::new((Mode::Pass, target_port)));
        let freezes = watch::Sender::new(0);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&route), freezes.clone()));
        Self { address, route, freezes, _accepting: accepting }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.route.lock().unwrap().0 = mode;
    }

    pub(crate) fn set_target(&self, port: u16) {
        self.route.lock().unwrap().1 = port;
    }

    /// Keeps the open connections open and stops transporting data on them.
    pub(crate) fn freeze(&self) {
        self.freezes.send_modify(|count| *count += 1);
    }
}

async fn accept(
    listener: TcpListener,
    route: Arc<Mutex<(Mode, u16)>>,
    freezes: watch::Sender<u64>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (mode, port) = *route.lock().unwrap();
        let frozen = freezes.subscribe();
        connections.spawn(async move {
            match mode {
                Mode::Close => drop(client),
                Mode::Silent => hold(client).await,
                Mode::PlainText => {
                    let _ = client.writable().await;
                    let _ = client.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                    hold(client).await;
                }
                Mode::Pass => pass(client, port, frozen).await,
            }
        });
    }
}

async fn pass(mut client: TcpStream, port: u16, mut frozen: watch::Receiver<u64>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let freeze = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => false,
        _ = frozen.changed() => true,
    };
    if freeze {
        hold((client, server)).await;
    }
}

async fn hold<T>(open: T) {
    std::future::pending::<()>().await;
    drop(open);
}
