//! A gRPC origin over HTTP/2 without TLS, right or wrong, as the method it is called by says.
//!
//! It runs on a thread of its own. What each method does is in `answer`.

mod answer;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::server::Builder;
use h2::server::Connection;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::oneshot;

pub use service::GrpcAnswer;
pub use service::GrpcService;

/// A gRPC origin; ends when dropped.
#[derive(Debug)]
pub struct GrpcOrigin {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
    resets: Vec<String>,
    open: usize,
    most_open: usize,
}

type Shared = Arc<Mutex<Seen>>;

impl GrpcOrigin {
    /// An origin that takes any number of calls at once.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// An origin with other HTTP/2 settings.
    pub fn with(change: impl FnOnce(&mut Builder)) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let seen = Shared::default();
        let mut builder = Builder::new();
        change(&mut builder);
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, builder, shared) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            seen,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.seen().connections
    }

    /// The paths of the requests it has got.
    pub fn requests(&self) -> Vec<String> {
        self.seen().requests.clone()
    }

    /// Why its peer reset streams, in that order.
    pub fn resets(&self) -> Vec<String> {
        self.seen().resets.clone()
    }

    /// The most calls it had at once.
    pub fn most_open(&self) -> usize {
        self.seen().most_open
    }

    /// The calls it has now.
    pub fn open(&self) -> usize {
        self.seen().open
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for GrpcOrigin {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn lock<T>(seen: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, builder: Builder, seen: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        lock(&seen).connections += 1;
        let (builder, seen) = (builder.clone(), Arc::clone(&seen));
        tokio::task::spawn_local(async move {
            if let Ok(connection) = builder.handshake(stream).await {
                serve(connection, seen).await;
            }
        });
    }
}

async fn serve(mut connection: Connection<TcpStream, Bytes>, seen: Shared) {
    let goes_away = Arc::new(Notify::new());
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = goes_away.notified() => {
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else {
            return;
        };
        let path = request.uri().path().to_owned();
        if path.ends_with("/Hangup") {
            return; // Drops the connection with everything on it.
        }
        {
            let mut seen = lock(&seen);
            seen.requests.push(path);
            seen.open += 1;
            seen.most_open = seen.most_open.max(seen.open);
        }
        let (goes_away, seen) = (Arc::clone(&goes_away), Arc::clone(&seen));
        tokio::task::spawn_local(async move {
            let outcome = answer::to(request, respond, &goes_away).await;
            let mut seen = lock(&seen);
            seen.open -= 1;
            if let Err(err) = outcome
                && let Some(reason) = err.reason()
            {
                seen.resets.push(format!("{reason:?}"));
            }
        });
    }
}
