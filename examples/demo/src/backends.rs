//! The backends: `apples` and `pears` say who they are and what they were asked, `auth` says who
//! may pass.
//!
//! They live in this process, on the ports that the quickstart names if these are free. What each
//! answers is in `answer`; here is only how connections are served.

mod answer;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::ports::{self, Ports};

/// How long to wait after an accept that failed: mostly for a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a backend is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Says its name and what it was asked.
    Fruit(&'static str),
    /// Knows one token.
    Auth,
}

/// All backends; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Backends {
    /// Where `apples` listens.
    pub(crate) apples: SocketAddr,
    /// Where `pears` listens.
    pub(crate) pears: SocketAddr,
    /// Where `auth` listens.
    pub(crate) auth: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Backends {
    /// Starts all of them.
    pub(crate) async fn start(ports: Ports) -> Result<Self> {
        let mut tasks = JoinSet::new();
        Ok(Self {
            apples: start(&mut tasks, ports.backend(9001), Role::Fruit("apples")).await?,
            pears: start(&mut tasks, ports.backend(9002), Role::Fruit("pears")).await?,
            auth: start(&mut tasks, ports.backend(9003), Role::Auth).await?,
            _tasks: tasks,
        })
    }
}

async fn start(tasks: &mut JoinSet<()>, port: u16, role: Role) -> Result<SocketAddr> {
    let listener = match TcpListener::bind(ports::local(port)).await {
        Err(err) if err.kind() == ErrorKind::AddrInUse => TcpListener::bind(ports::local(0)).await,
        bound => bound,
    };
    let listener = listener.context("listen for a backend")?;
    let address = listener.local_addr()?;
    if port != 0 && address.port() != port {
        ports::say_taken(port, address.port());
    }
    tasks.spawn(serve(listener, role));
    Ok(address)
}

async fn serve(listener: TcpListener, role: Role) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, role));
                }
                Err(err) => {
                    eprintln!("a backend cannot accept a connection: {err}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, role: Role) {
    let service = service_fn(move |request| answer::to(role, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // How a connection ends is the gateway's business; its access log tells.
    drop(served);
}
