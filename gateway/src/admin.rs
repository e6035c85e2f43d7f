//! The admin API: what operators, probes and scrapers ask a running gateway.
//!
//! Owns the socket and the thread; a scrape never takes time from a worker. Who may ask is
//! [`access`]'s, what is answered [`answer`]'s. Nothing here changes anything: orders go to the
//! control thread.

mod access;
mod answer;
mod dump;
mod exposition;
mod metrics;
mod places;
mod plugins;
mod process;
mod pulls;
mod resources;
mod rollouts;
mod shadows;
mod unix;
mod versions;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::StatusCode;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::admin::access::Access;
use crate::admin::access::Token;
use crate::admin::access::TokenError;
use crate::admin::access::is_probe;
pub(crate) use crate::admin::answer::Answers;
pub(crate) use crate::admin::answer::Order;
use crate::admin::places::Places;
use crate::admin::unix::UnixSocket;

/// From the accept to the end of a connection: a scraper connects anew after it.
const LONGEST_CONNECTION: Duration = Duration::from_secs(60);
/// The same, for one that asks beyond [`places`].
const LONGEST_PROBE: Duration = Duration::from_secs(2);
/// For a request head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request head.
const HEAD_BYTES: usize = 16 * 1024;
/// Fields of a request head.
const HEAD_FIELDS: usize = 64;
/// A pause after the system could not give a connection, lest the thread spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminAddress {
    /// Nowhere.
    Off,
    /// On a TCP address.
    Tcp(SocketAddr),
    /// On a Unix socket, for this user alone.
    Unix(PathBuf),
}

/// A text that is no [`AdminAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as 127.0.0.1:15000, unix:PATH, or off")]
pub(crate) struct BadAddress;

impl FromStr for AdminAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.strip_prefix("unix:") {
            Some("") => Err(BadAddress),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None if text == "off" => Ok(Self::Off),
            None => text.parse().map(Self::Tcp).map_err(|_| BadAddress),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why the admin API does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// The address cannot be had.
    #[error(
        "the admin API cannot listen on {address}; choose another with --admin, or --admin off"
    )]
    Bind {
        address: String,
        source: std::io::Error,
    },
    /// Everybody in the network could reach it.
    #[error(
        "the admin API on {address} can be reached from elsewhere: give --admin-token-file, or \
         choose a loopback address or unix:PATH"
    )]
    Exposed { address: SocketAddr },
    /// The token is unusable.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The system gives no thread.
    #[error("cannot start the admin thread")]
    Thread(#[source] std::io::Error),
}

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: Socket,
    access: Access,
    name: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(UnixSocket),
}

/// The running API; ends when dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Takes the address; `None` if it is off.
///
/// # Errors
///
/// [`AdminError`], also for an address that others can reach without a token.
pub(crate) fn bind(
    address: &AdminAddress,
    token_file: Option<&Path>,
) -> Result<Option<Bound>, AdminError> {
    let token = token_file.map(Token::load).transpose()?;
    let failed = |source| AdminError::Bind {
        address: address.to_string(),
        source,
    };
    let bound = match address {
        AdminAddress::Off => return Ok(None),
        AdminAddress::Tcp(wanted) => {
            if !wanted.ip().to_canonical().is_loopback() && token.is_none() {
                return Err(AdminError::Exposed { address: *wanted });
            }
            let listener = std::net::TcpListener::bind(wanted).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let actual = listener.local_addr().map_err(failed)?;
            Bound {
                socket: Socket::Tcp(listener),
                access: Access::tcp(actual.ip(), token),
                name: actual.to_string(),
            }
        }
        AdminAddress::Unix(path) => Bound {
            socket: Socket::Unix(UnixSocket::bind(path).map_err(failed)?),
            access: Access::unix(token),
            name: address.to_string(),
        },
    };
    Ok(Some(bound))
}

impl Bound {
    /// Where it listens; port 0 is replaced by the real one.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Answers from now on.
    ///
    /// # Errors
    ///
    /// [`AdminError::Thread`].
    pub(crate) fn serve(self, answers: Answers) -> Result<Admin, AdminError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AdminError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let Self {
            socket,
            access,
            name: _,
        } = self;
        let shared = Arc::new(Shared {
            access,
            answers,
            places: Places::default(),
        });
        let thread = std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(socket, shared) => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(AdminError::Thread)?;
        Ok(Admin {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[derive(Debug)]
struct Shared {
    access: Access,
    answers: Answers,
    places: Places,
}

async fn accept(socket: Socket, shared: Arc<Shared>) {
    match socket {
        Socket::Tcp(listener) => {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(err) => return tracing::error!(%err, "the admin API cannot listen"),
            };
            accept_all(&shared, || async { Ok(listener.accept().await?.0) }).await;
        }
        Socket::Unix(socket) => {
            let listener = match socket.listener() {
                Ok(listener) => listener,
                Err(err) => return tracing::error!(%err, "the admin API cannot listen"),
            };
            accept_all(&shared, || async { Ok(listener.accept().await?.0) }).await;
        }
    }
}

async fn accept_all<S, F>(shared: &Arc<Shared>, next: impl Fn() -> F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = std::io::Result<S>>,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Some(place) = shared.places.next().await else {
            return;
        };
        match next().await {
            Ok(stream) => {
                let shared = Arc::clone(shared);
                connections.spawn(async move {
                    let place = shared.places.better(place);
                    let longest = if place.is_full {
                        LONGEST_CONNECTION
                    } else {
                        LONGEST_PROBE
                    };
                    let served = serve(stream, shared, place.is_full);
                    if tokio::time::timeout(longest, served).await.is_err() {
                        tracing::debug!("an admin connection was cut");
                    }
                    drop(place);
                });
            }
            Err(err) => {
                tracing::debug!(%err, "an admin connection was lost");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<S>(stream: S, shared: Arc<Shared>, is_full: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move {
            let answer = match shared.access.check(&request) {
                Ok(()) if is_full || is_probe(&request) => shared.answers.answer(&request).await,
                Ok(()) => answer::text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many connections to the admin API\n",
                ),
                Err(refusal) => refusal.answer(),
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .keep_alive(is_full)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(err) = served {
        tracing::debug!(%err, "an admin connection failed");
    }
}
