//! TLS handshakes with clients.
//!
//! Owns their order: the greeting is read, the name that it asks for decides what happens, then the
//! handshake goes to its end, all within the time for a request's head. Handshakes are bounded: the
//! oldest one makes room for a new one, and signing takes turns with everything else that the
//! worker does, so that a storm of handshakes slows down itself first.

mod hello;
mod refusal;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tcp::TcpRule;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio_rustls::StartHandshake;
use tokio_rustls::TlsStream;
use tokio_rustls::server;

use crate::deadline::Deadline;
use crate::tls::ClientCertificate;
use crate::tls::Inside;
use crate::tls::Secured;
use crate::tls::Terminator;
use crate::transport::Socket;
use crate::transport::Transport;
use crate::worker::Scene;
use crate::worker::Worker;
use hello::Hello;
use refusal::Refusal;

/// Handshakes of one worker that may be under way at a time.
const MOST: usize = 1024;

/// What came of a handshake.
#[derive(Debug)]
pub(super) enum Greeted {
    /// HTTP follows.
    Http {
        transport: Transport,
        secured: Rc<Secured>,
    },
    /// Bytes follow, whose first may have been read.
    Bytes {
        transport: Transport,
        begun: Bytes,
        server_name: Option<Arc<str>>,
        /// How TLS ended here, if it did.
        secured: Option<Rc<Secured>>,
        rule: Arc<TcpRule>,
    },
}

/// A handshake with a client.
#[derive(Debug)]
pub(super) struct Greeting<'a> {
    pub(super) worker: &'a Worker,
    pub(super) scene: &'a Scene,
    pub(super) deadline: &'a Deadline,
}

impl Greeting<'_> {
    /// Goes through the handshake; `None` if nothing can follow. It has been counted and logged.
    pub(super) async fn run(&self, stream: TcpStream) -> Option<Greeted> {
        // Whoever says nothing costs nothing yet.
        let limit = self.scene.bind().timeouts.header_read;
        let mut listener = Arc::clone(&self.scene.bind().name);
        let ended = match self.deadline.limit(limit, stream.readable()).await {
            Ok(_) => {
                let place = self.worker.handshakes.enter();
                let steps = self
                    .deadline
                    .limit(limit, self.steps(stream, &mut listener));
                tokio::select! {
                    biased;
                    ended = steps => ended.unwrap_or(Err(Refusal::TimedOut)),
                    () = place.lost() => Err(Refusal::Crowded),
                }
            }
            Err(_) => Err(Refusal::Silent),
        };
        let (result, greeted) = match ended {
            Ok((result, greeted)) => (result, Some(greeted)),
            Err(refusal) => {
                tracing::debug!(listener = &*listener, "TLS handshake failed: {refusal}");
                (refusal.result(), None)
            }
        };
        self.worker.counters.handshake(&listener, result);
        greeted
    }

    async fn steps(
        &self,
        mut stream: TcpStream,
        listener: &mut Arc<str>,
    ) -> Result<(&'static str, Greeted), Refusal> {
        let hello = match hello::read(&mut stream).await {
            Ok(hello) => hello,
            Err(refusal) => {
                refusal.tell(&mut stream).await;
                return Err(refusal);
            }
        };
        let shows_ticket = hello.shows_ticket();
        let Hello { accepted, read } = hello;
        let server_name = asked_for(accepted.client_hello().server_name());
        let Some(name) = self.name(&server_name) else {
            let refusal = Refusal::UnknownName(server_name);
            refusal.tell(&mut stream).await;
            return Err(refusal);
        };
        match &*name {
            TlsName::Passthrough(rule) => {
                *listener = Arc::clone(&rule.listener);
                let greeted = Greeted::Bytes {
                    transport: Transport::Tcp(stream),
                    begun: read.into(),
                    server_name: (!server_name.is_empty()).then(|| server_name.into()),
                    secured: None,
                    rule: Arc::clone(rule),
                };
                Ok(("passed_through", greeted))
            }
            TlsName::Http {
                termination,
                listener: claims,
            } => {
                *listener = Arc::clone(&claims.name);
                drop(read);
                let start = StartHandshake::from_parts(accepted, Socket::greeting(stream));
                let terminator = self.terminator(termination, Inside::Http)?;
                let finish = self.finish(start, shows_ticket, terminator, server_name);
                let (result, stream, secured) = finish.await?;
                let greeted = Greeted::Http {
                    transport: Transport::Tls(Box::new(TlsStream::Server(stream))),
                    secured: Rc::new(secured),
                };
                Ok((result, greeted))
            }
            TlsName::Tcp { termination, rule } => {
                *listener = Arc::clone(&rule.listener);
                drop(read);
                let start = StartHandshake::from_parts(accepted, Socket::greeting(stream));
                let terminator = self.terminator(termination, Inside::Bytes)?;
                let finish = self.finish(start, shows_ticket, terminator, server_name);
                let (result, mut stream, secured) = finish.await?;
                // Nobody knows who speaks next.
                stream.flush().await.map_err(|err| Refusal::of(&err))?;
                let name = &*secured.server_name;
                let greeted = Greeted::Bytes {
                    transport: Transport::Tls(Box::new(TlsStream::Server(stream))),
                    begun: Bytes::new(),
                    server_name: (!name.is_empty()).then(|| name.into()),
                    secured: Some(Rc::new(secured)),
                    rule: Arc::clone(rule),
                };
                Ok((result, greeted))
            }
        }
    }

    fn name(&self, server_name: &str) -> Option<Arc<TlsName>> {
        let Protocol::Tls(names) = &self.scene.bind().protocol else {
            return None;
        };
        names.claims(server_name).next().cloned()
    }

    fn terminator(
        &self,
        settings: &Arc<Termination>,
        inside: Inside,
    ) -> Result<&Arc<Terminator>, Refusal> {
        let tls = &self.scene.generation.plan.tls;
        tls.terminator(settings, inside)
            .ok_or(Refusal::NoCertificate)
    }

    /// The rest of a handshake, with the settings that the name has led to.
    async fn finish(
        &self,
        start: StartHandshake<Socket>,
        shows_ticket: bool,
        terminator: &Terminator,
        server_name: Box<str>,
    ) -> Result<(&'static str, server::TlsStream<Socket>, Secured), Refusal> {
        let Some(shown) = terminator.certificate(&start.client_hello()).cloned() else {
            let mut stream = start.io.into_tcp();
            Refusal::NoCertificate.tell(&mut stream).await;
            return Err(Refusal::NoCertificate);
        };
        let accept = {
            // Signing takes a good part of a millisecond: one of them, then everybody else's turn.
            let _turn = self.worker.handshakes.turn.acquire().await;
            let accept = start.into_stream(Arc::clone(terminator.config(shows_ticket)));
            tokio::task::yield_now().await;
            accept.into_fallible()
        };
        let mut stream = match accept.await {
            Ok(stream) => stream,
            Err((err, mut socket)) => {
                // The alert waits in it.
                socket.end_greeting();
                socket.flush().await.ok();
                return Err(Refusal::of(&err));
            }
        };
        stream.get_mut().0.end_greeting();
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let chain: Box<[CertificateDer<'static>]> =
            session.peer_certificates().unwrap_or_default().into();
        let client = match terminator.trust.admits(&chain, resumed) {
            Ok(true) => {
                let details = self.scene.bind().forward_client_cert.details;
                let client = ClientCertificate::of(&chain, &shown, details);
                Some(client.map_err(Refusal::Unreadable)?)
            }
            Ok(false) => None,
            Err(err) => {
                // What was believed when the session began is not believed any more.
                stream.shutdown().await.ok();
                return Err(Refusal::Tls(err));
            }
        };
        let secured = Secured {
            server_name,
            version: Secured::version_of(stream.get_ref().1.protocol_version()),
            trust: Arc::clone(&terminator.trust),
            shown,
            client: client.map(Box::new),
            chain,
            rechecked: RefCell::default(),
        };
        let result = if resumed { "resumed" } else { "completed" };
        Ok((result, stream, secured))
    }
}

/// The name that a client asks for, as names are looked up; empty if it names none.
fn asked_for(name: Option<&str>) -> Box<str> {
    let name = name.unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase().into()
}

/// The handshakes of a worker.
#[derive(Debug)]
pub(super) struct Handshakes {
    /// One of them signs at a time.
    turn: Semaphore,
    /// Those under way, the oldest first.
    open: RefCell<BTreeMap<u64, Rc<Notify>>>,
}

/// One handshake's place among them.
#[derive(Debug)]
struct Place<'a> {
    all: &'a Handshakes,
    number: u64,
    lost: Rc<Notify>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            open: RefCell::default(),
        }
    }
}

impl Handshakes {
    /// A place, for which the oldest handshake loses its own if there are too many.
    fn enter(&self) -> Place<'_> {
        let mut open = self.open.borrow_mut();
        if open.len() >= MOST
            && let Some((_, oldest)) = open.pop_first()
        {
            oldest.notify_one();
        }
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        let lost = Rc::<Notify>::default();
        open.insert(number, Rc::clone(&lost));
        Place {
            all: self,
            number,
            lost,
        }
    }
}

impl Place<'_> {
    /// Resolves when the place is needed for a newer handshake.
    async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.all.open.borrow_mut();
        // After the place was lost, another may have its number only if all others are gone.
        if open
            .get(&self.number)
            .is_some_and(|one| Rc::ptr_eq(one, &self.lost))
        {
            open.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::Handshakes;
    use super::MOST;
    use super::asked_for;

    #[test]
    fn the_oldest_handshake_makes_room() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let all = Handshakes::default();
            let places: Vec<_> = (0..MOST).map(|_| all.enter()).collect();
            let newest = all.enter();
            let limit = Duration::from_secs(5);
            let lost = tokio::time::timeout(limit, places[0].lost()).await;
            lost.expect("the oldest one lost its place");
            assert_eq!(all.open.borrow().len(), MOST);
            drop(places);
            assert_eq!(all.open.borrow().len(), 1, "the newest keeps its place");
            drop(newest);
            assert!(all.open.borrow().is_empty());
        });
    }

    #[test]
    fn names_are_looked_up_in_lower_case_and_without_a_last_dot() {
        assert_eq!(&*asked_for(Some("A.Test.")), "a.test");
        assert_eq!(&*asked_for(None), "");
    }
}
