//! HTTP/2 clients and origins for tests, on the `h2` crate's own level: streams and frames' reasons.
//!
//! A client is an async function on a connection of its own, run to its end within [`LIMIT`]. An
//! origin answers each stream with an async function, on a thread of its own.

pub mod tunnel;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::HeaderMap;
use http::Request;
use http::Response;
use rustls::pki_types::ServerName;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use crate::LIMIT;
use crate::TlsClient;

/// A whole answer on a stream.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers, if there were any.
    pub trailers: Option<HeaderMap>,
    /// The statuses of the interim responses before it.
    pub interim: Vec<u16>,
}

impl Answer {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first value of a trailer field.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name)?.to_str().ok()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs a client on a new connection.
///
/// # Panics
///
/// If nobody listens there, or it takes longer than [`LIMIT`].
#[track_caller]
pub fn client<T>(address: SocketAddr, client: impl AsyncFnOnce(SendRequest<Bytes>) -> T) -> T {
    client_with(address, &mut h2::client::Builder::new(), client)
}

/// The same with other settings.
///
/// # Panics
///
/// As [`client`].
#[track_caller]
pub fn client_with<T>(
    address: SocketAddr,
    builder: &mut h2::client::Builder,
    client: impl AsyncFnOnce(SendRequest<Bytes>) -> T,
) -> T {
    run(async move {
        let stream = TcpStream::connect(address).await.expect("it accepts");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = builder.handshake(stream).await.expect("it is HTTP/2");
        tokio::task::spawn_local(connection);
        client(sender).await
    })
}

/// The same over TLS, once the gateway has chosen HTTP/2.
///
/// # Panics
///
/// As [`client`], or if there is no TLS or no HTTP/2 in it.
#[track_caller]
pub fn client_of_tls<T>(
    address: SocketAddr,
    tls: &TlsClient,
    client: impl AsyncFnOnce(SendRequest<Bytes>) -> T,
) -> T {
    let connector = TlsConnector::from(tls.clone().offering(&["h2", "http/1.1"]).config());
    run(async move {
        let stream = TcpStream::connect(address).await.expect("it accepts");
        let name = ServerName::try_from("shop.test").expect("a name");
        let stream = connector.connect(name, stream).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = h2::client::handshake(stream).await.expect("it is HTTP/2");
        tokio::task::spawn_local(connection);
        client(sender).await
    })
}

/// Runs a future of one thread within [`LIMIT`].
///
/// # Panics
///
/// If it takes longer.
#[track_caller]
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    let done = tasks.block_on(&runtime, async {
        tokio::time::timeout(LIMIT, future).await
    });
    done.expect("it takes too long")
}

/// Waits in a client for something that happens elsewhere; ends with the client's limit.
pub async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A request to `http://a.test` and this path.
pub fn request(method: &str, path: &str) -> Request<()> {
    let builder = Request::builder().method(method);
    let uri = format!("http://a.test{path}");
    builder.uri(uri).body(()).expect("a request")
}

/// Sends a request without a body and reads the answer.
///
/// # Errors
///
/// The stream's.
pub async fn get(sender: &mut SendRequest<Bytes>, path: &str) -> Result<Answer, h2::Error> {
    exchange(sender, request("GET", path), None).await
}

/// Sends a request with a body, if there is one, and reads the answer.
///
/// # Errors
///
/// The stream's.
pub async fn exchange(
    sender: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<Answer, h2::Error> {
    let mut ready = sender.clone().ready().await?;
    let (response, mut stream) = ready.send_request(request, body.is_none())?;
    if let Some(body) = body {
        let upload = async {
            send(&mut stream, body, true).await.ok();
        };
        let (answer, ()) = tokio::join!(read(response), upload);
        return answer;
    }
    read(response).await
}

/// Sends data as the peer has room for it; the last byte of the last data ends the stream.
///
/// # Errors
///
/// The stream's.
pub async fn send(
    stream: &mut h2::SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
) -> Result<(), h2::Error> {
    if data.is_empty() && last {
        return stream.send_data(data, true);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.unwrap_or(Ok(0))?;
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, last && data.is_empty())?;
    }
    Ok(())
}

/// Reads an answer to its end.
///
/// # Errors
///
/// The stream's.
pub async fn read(mut response: ResponseFuture) -> Result<Answer, h2::Error> {
    let mut interim = Vec::new();
    while let Some(next) = std::future::poll_fn(|cx| response.poll_informational(cx)).await {
        interim.push(next?.status().as_u16());
    }
    let (head, mut body) = response.await?.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        interim,
        ..Answer::default()
    };
    answer.body = read_body(&mut body).await?;
    answer.trailers = body.trailers().await?;
    Ok(answer)
}

/// Reads a body to its end.
///
/// # Errors
///
/// The stream's.
pub async fn read_body(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// What an origin does with one stream.
type Script = dyn Fn(
        Request<RecvStream>,
        SendResponse<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<(), h2::Error>>>>
    + Send
    + Sync;

/// An origin of HTTP/2 without TLS; ends when dropped.
#[derive(Debug)]
pub struct Http2Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What an origin has seen.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request<()>>,
    resets: Vec<String>,
}

impl Http2Origin {
    /// An origin that does with each stream what the script says.
    pub fn script<S, F>(script: S) -> Self
    where
        S: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), h2::Error>> + 'static,
    {
        Self::with(h2::server::Builder::new(), script)
    }

    /// The same with other settings.
    pub fn with<S, F>(builder: h2::server::Builder, script: S) -> Self
    where
        S: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), h2::Error>> + 'static,
    {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::<Mutex<Seen>>::default();
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&seen);
        let script: Box<Script> = Box::new(move |request, respond| {
            let answering = script(request, respond);
            Box::pin(answering)
        });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, builder, shared, script) => {}
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

    /// An origin that sends bodies back, as they come, and trailers too.
    pub fn echoes() -> Self {
        Self::script(|request, mut respond| async move {
            let mut body = request.into_body();
            let ended = body.is_end_stream();
            let mut stream = respond.send_response(Response::new(()), ended)?;
            while let Some(data) = body.data().await {
                let data = data?;
                body.flow_control().release_capacity(data.len())?;
                send(&mut stream, data, false).await?;
            }
            match body.trailers().await? {
                Some(trailers) => stream.send_trailers(trailers),
                None if ended => Ok(()),
                None => stream.send_data(Bytes::new(), true),
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.seen().connections
    }

    /// The heads of the requests it has got.
    pub fn requests(&self) -> Vec<Request<()>> {
        self.seen().requests.clone()
    }

    /// Why streams ended badly, in that order.
    pub fn resets(&self) -> Vec<String> {
        self.seen().resets.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Http2Origin {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(
    listener: TcpListener,
    builder: h2::server::Builder,
    seen: Arc<Mutex<Seen>>,
    script: Box<Script>,
) {
    let script = Rc::new(script);
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        lock(&seen).connections += 1;
        let (builder, seen) = (builder.clone(), Arc::clone(&seen));
        let script = Rc::clone(&script);
        tokio::task::spawn_local(async move {
            let Ok(mut connection) = builder.handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (parts, body) = request.into_parts();
                lock(&seen)
                    .requests
                    .push(Request::from_parts(parts.clone(), ()));
                let answering = script(Request::from_parts(parts, body), respond);
                let seen = Arc::clone(&seen);
                tokio::task::spawn_local(async move {
                    if let Err(err) = answering.await {
                        lock(&seen).resets.push(err.to_string());
                    }
                });
            }
        });
    }
}

fn lock(seen: &Arc<Mutex<Seen>>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
