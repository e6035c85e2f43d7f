//! A gRPC service whose answers a closure makes: one message each way, over HTTP/2 without TLS.
//!
//! It runs on a thread of its own and ends when dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::Reason;
use h2::server::Connection;
use h2::server::SendResponse;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::answer::Messages;
use super::answer::framed;
use super::answer::head;
use super::lock;

/// How a service answers a call.
#[derive(Debug, Clone)]
pub enum GrpcAnswer {
    /// With a message, and that all went well.
    Message(Vec<u8>),
    /// With a status alone.
    Status(u16),
    /// By a reset of the stream.
    Reset,
    /// Never.
    Never,
}

/// What answers a call by its path and its message.
type Handler = Arc<dyn Fn(&str, &[u8]) -> GrpcAnswer + Send + Sync>;

/// The paths and the messages of calls.
type Calls = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A gRPC service.
#[derive(Debug)]
pub struct GrpcService {
    address: SocketAddr,
    calls: Calls,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GrpcService {
    /// A service that answers so, by the path of a call and its message.
    pub fn start(handler: impl Fn(&str, &[u8]) -> GrpcAnswer + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let (calls, handler) = (Calls::default(), Arc::new(handler) as Handler);
        let (end, ended) = oneshot::channel();
        let seen = Arc::clone(&calls);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, handler, seen) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            calls,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The paths and the messages of the calls that it has got.
    pub fn calls(&self) -> Vec<(String, Vec<u8>)> {
        lock(&self.calls).clone()
    }
}

impl Drop for GrpcService {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(listener: TcpListener, handler: Handler, calls: Calls) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        let (handler, calls) = (Arc::clone(&handler), Arc::clone(&calls));
        tokio::task::spawn_local(async move {
            if let Ok(connection) = h2::server::handshake(stream).await {
                serve(connection, handler, calls).await;
            }
        });
    }
}

async fn serve(mut connection: Connection<TcpStream, Bytes>, handler: Handler, calls: Calls) {
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (handler, calls) = (Arc::clone(&handler), Arc::clone(&calls));
        tokio::task::spawn_local(async move {
            // Whoever called may be gone.
            answer(request, respond, &handler, &calls).await.ok();
        });
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    handler: &Handler,
    calls: &Calls,
) -> Result<(), h2::Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let message = Messages::new(body).next().await?.unwrap_or_default();
    lock(calls).push((path.clone(), message.to_vec()));
    let (message, status) = match handler(&path, &message) {
        GrpcAnswer::Message(message) => (Some(message), 0),
        GrpcAnswer::Status(status) => (None, status),
        GrpcAnswer::Reset => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        }
        GrpcAnswer::Never => {
            std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
            return Ok(());
        }
    };
    let mut stream = respond.send_response(head(), false)?;
    if let Some(message) = message {
        stream.send_data(framed(&message), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    stream.send_trailers(trailers)
}
