//! The backends of a test, on loopback addresses. Each connection has a thread and one request.

use std::any::Any;
use std::io::{self, BufReader, Read as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::backends::{Backends, Listens};
use crate::fields::Fields;
use crate::live::clock::Clock;
use crate::live::grpc;
use crate::live::http1::{self, Framing};
use crate::live::redis;
use crate::observed::Seen;
use crate::reply::{Course, Received, Reply};

/// What a backend's threads share.
#[derive(Clone)]
pub(super) struct Servers {
    pub(super) backends: Backends,
    pub(super) seen: Seen,
    pub(super) clock: Clock,
}

/// Where a backend is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// It is spoken to over HTTP/2.
    pub(super) is_grpc: bool,
}

/// Which backend.
#[derive(Clone)]
enum Which {
    App,
    Named(String),
}

impl Servers {
    /// Serves the application.
    pub(super) fn app(&self) -> io::Result<SocketAddr> {
        self.serve(Which::App)
    }

    /// Serves every other backend; where nothing is to listen, nothing does.
    pub(super) fn others(&self) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for (name, listens) in self.backends.names() {
            let address = match listens {
                Listens::Http => self.serve(Which::Named(name.clone()))?,
                Listens::Grpc => grpc::serve(self, &name)?,
                Listens::Redis => redis::serve(self, &name)?,
                // A port that was free a moment ago.
                Listens::Nothing => TcpListener::bind("127.0.0.1:0")?.local_addr()?,
            };
            places.push(Place {
                name,
                address,
                is_grpc: listens == Listens::Grpc,
            });
        }
        Ok(places)
    }

    fn serve(&self, which: Which) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let servers = self.clone();
        // It ends with the process: nobody connects once the program under test has ended.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (servers, which) = (servers.clone(), which.clone());
                std::thread::spawn(move || servers.attend(&stream, &which));
            }
        });
        Ok(address)
    }

    fn attend(&self, stream: &TcpStream, which: &Which) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.answer(stream, which)));
        stream.shutdown(Shutdown::Both).ok();
        if let Err(panic) = outcome {
            self.broken(&*panic);
        }
    }

    /// A closure of the test has panicked.
    pub(super) fn broken(&self, panic: &(dyn Any + Send)) {
        let why = format!("a backend of the test panicked: {}", message(panic));
        self.seen.with(|seen| seen.broken = Some(why));
    }

    fn answer(&self, stream: &TcpStream, which: &Which) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut from = BufReader::new(stream.try_clone()?);
        let Some(head) = http1::read_head(&mut from)? else {
            return Ok(());
        };
        let framing = http1::framing(&head.fields, Framing::None);
        let mut request = received(&head).ok_or(io::ErrorKind::InvalidData)?;
        let place = match which {
            Which::App => Some(self.seen.with(|seen| {
                seen.app.push(request.clone());
                seen.app.len() - 1
            })),
            Which::Named(_) => None,
        };
        let early = place.is_some() && self.backends.app_is_early();
        let early = early.then(|| self.backends.app(&request));
        if let Some(reply) = &early {
            self.begin_reply(stream, reply, &request.method)?;
        }
        let trailers = http1::read_body(&mut from, framing, &mut |part| {
            request.body.extend_from_slice(part);
            if let Some(place) = place {
                self.record(place, &request);
            }
        })?;
        request.trailers = trailers;
        request.ended = true;
        if let Some(place) = place {
            self.record(place, &request);
        }
        let reply = match (early, which) {
            (Some(reply), _) => return end_reply(stream, &reply, &request.method),
            (None, Which::App) => self.backends.app(&request),
            (None, Which::Named(name)) => {
                self.seen.with(|seen| {
                    let calls = seen.calls.entry(name.clone()).or_default();
                    calls.push(request.clone());
                });
                let reply = self.backends.call(name, &request);
                reply.ok_or(io::ErrorKind::ConnectionRefused)?
            }
        };
        match reply.course {
            Course::Never => wait_for_close(from),
            Course::Reset => {
                self.clock.wait(reply.after);
                Ok(())
            }
            Course::Whole | Course::Cut => {
                self.begin_reply(stream, &reply, &request.method)?;
                end_reply(stream, &reply, &request.method)
            }
        }
    }

    fn record(&self, place: usize, request: &Received) {
        self.seen.with(|seen| {
            if let Some(known) = seen.app.get_mut(place) {
                known.clone_from(request);
            }
        });
    }

    /// Sends the headers, when it is time, and the body but for its end.
    fn begin_reply(&self, mut to: &TcpStream, reply: &Reply, method: &str) -> io::Result<()> {
        self.clock.wait(reply.after);
        let mut fields = reply.framed_headers();
        let chunked = is_chunked(reply, method);
        if chunked {
            fields.add("transfer-encoding", "chunked");
        }
        fields.add("connection", "close");
        let start = format!("HTTP/1.1 {} Test", reply.status);
        http1::write_head(&mut to, &start, &fields)?;
        if reply.ends_with_headers(method) {
            return Ok(());
        }
        for chunk in &reply.body {
            http1::write_part(&mut to, chunked, chunk)?;
        }
        Ok(())
    }
}

fn end_reply(mut to: &TcpStream, reply: &Reply, method: &str) -> io::Result<()> {
    if is_chunked(reply, method) && reply.course == Course::Whole {
        http1::write_end(&mut to, &reply.trailers)?;
    }
    Ok(())
}

fn is_chunked(reply: &Reply, method: &str) -> bool {
    let bodiless = method == "HEAD" || matches!(reply.status, 204 | 304);
    !bodiless && !reply.whole && !reply.headers.has("content-length")
}

fn wait_for_close(mut from: BufReader<TcpStream>) -> io::Result<()> {
    let mut nothing = [0; 64];
    while from.read(&mut nothing)? > 0 {}
    Ok(())
}

fn received(head: &http1::Head) -> Option<Received> {
    let mut words = head.start.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = head.fields.clone();
    let host = headers.get("host").unwrap_or_default();
    for ours in ["host", "transfer-encoding", "connection", "te"] {
        headers.remove(ours);
    }
    Some(Received {
        method: method.to_owned(),
        path: path.to_owned(),
        host,
        headers,
        body: Vec::new(),
        trailers: Fields::default(),
        ended: false,
    })
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
