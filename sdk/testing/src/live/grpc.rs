//! The gRPC backends of a test: HTTP/2 without TLS, on loopback addresses. Each has a thread.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

use crate::fields::Fields;
use crate::live::server::Servers;
use crate::reply::{Course, Received, Reply};

/// A backend.
struct Backend {
    name: String,
    servers: Servers,
}

/// Serves a backend.
pub(super) fn serve(servers: &Servers, name: &str) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (servers, name) = (servers.clone(), name.to_owned());
    // It ends with the process: nobody connects once the program under test has ended.
    std::thread::spawn(move || {
        let backend = Rc::new(Backend { name, servers });
        LocalSet::new().block_on(&runtime, async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                accept(&listener, &backend).await;
            }
        });
    });
    Ok(address)
}

async fn accept(listener: &TcpListener, backend: &Rc<Backend>) {
    while let Ok((stream, _)) = listener.accept().await {
        spawn_local(attend(stream, Rc::clone(backend)));
    }
}

/// One connection: calls on it are answered at once, each in its time.
async fn attend(stream: TcpStream, backend: Rc<Backend>) {
    stream.set_nodelay(true).ok();
    // Who speaks something else is not answered.
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let backend = Rc::clone(&backend);
        spawn_local(async move {
            // The program under test may go away in the middle.
            backend.answer(request, respond).await.ok();
        });
    }
}

impl Backend {
    async fn answer(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        let (head, body) = request.into_parts();
        let request = read(head, body).await?;
        let Some(reply) = self.ask(request) else {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        };
        self.wait(&reply).await;
        match reply.course {
            Course::Never => {
                std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
                Ok(())
            }
            Course::Reset => {
                respond.send_reset(Reason::INTERNAL_ERROR);
                Ok(())
            }
            Course::Whole | Course::Cut => send(&reply, &mut respond).await,
        }
    }

    /// What the test's closure says; nothing if it panics.
    fn ask(&self, request: Received) -> Option<Reply> {
        let Servers { backends, seen, .. } = &self.servers;
        seen.with(|seen| {
            let calls = seen.calls.entry(self.name.clone()).or_default();
            calls.push(request.clone());
        });
        let asked = catch_unwind(AssertUnwindSafe(|| backends.call(&self.name, &request)));
        match asked {
            Ok(reply) => reply,
            Err(panic) => {
                self.servers.broken(&*panic);
                None
            }
        }
    }

    async fn wait(&self, reply: &Reply) {
        if reply.after.is_zero() {
            return;
        }
        let (clock, after) = (self.servers.clock.clone(), reply.after);
        // The clock of the test is no timer of this thread's.
        spawn_blocking(move || clock.wait(after)).await.ok();
    }
}

async fn read(head: Parts, mut body: RecvStream) -> Result<Received, h2::Error> {
    let mut headers = fields(&head.headers);
    headers.remove("te");
    let path = head.uri.path_and_query().map(ToString::to_string);
    let host = head.uri.authority().map(ToString::to_string);
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(Received {
        method: head.method.to_string(),
        path: path.unwrap_or_default(),
        host: host.unwrap_or_default(),
        headers,
        body: bytes,
        trailers: fields(&trailers),
        ended: true,
    })
}

async fn send(reply: &Reply, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    *head.status_mut() = reply.status.try_into().unwrap_or_default();
    *head.headers_mut() = map(&reply.framed_headers());
    let mut stream = respond.send_response(head, reply.ends_with_headers("POST"))?;
    if reply.ends_with_headers("POST") {
        return Ok(());
    }
    let ends_with_body = reply.course == Course::Whole && reply.trailers.is_empty();
    for (number, part) in (1..).zip(&reply.body) {
        let end = ends_with_body && number == reply.body.len();
        send_part(&mut stream, part, end).await?;
    }
    match reply.course {
        Course::Cut => stream.send_reset(Reason::INTERNAL_ERROR),
        _ if ends_with_body => {}
        _ => stream.send_trailers(map(&reply.trailers))?,
    }
    Ok(())
}

/// Each part goes out as a frame of its own.
async fn send_part(
    stream: &mut SendStream<Bytes>,
    part: &[u8],
    end: bool,
) -> Result<(), h2::Error> {
    stream.send_data(Bytes::copy_from_slice(part), end)?;
    tokio::task::yield_now().await;
    Ok(())
}

fn fields(map: &HeaderMap) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in map {
        fields.add(name.as_str(), value.as_bytes());
    }
    fields
}

/// What HTTP does not allow is left out.
fn map(fields: &Fields) -> HeaderMap {
    let pairs = fields.0.iter();
    let pairs = pairs.filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(name, value);
    }
    map
}
