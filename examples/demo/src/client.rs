//! A client for one request, which notes when the parts of the answer came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::identity::Identity;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Asked over TLS, it has to show this.
    pub(crate) identity: Option<&'a Identity>,
}

impl Target<'_> {
    /// Asked without TLS.
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            identity: None,
        }
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its header fields.
    pub(crate) headers: HeaderMap,
    /// The whole body.
    pub(crate) body: Vec<u8>,
    /// The time from the first byte of the body to its end.
    pub(crate) streamed_for: Duration,
}

/// Sends a request over a connection of its own.
pub(crate) async fn send(to: Target<'_>, request: Request<Full<Bytes>>) -> Result<Answer> {
    match tokio::time::timeout(LIMIT, exchange(to, request)).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("no whole answer within {} s", LIMIT.as_secs()),
    }
}

/// Waits until any request gets any answer.
pub(crate) async fn wait_until_answered(to: SocketAddr, within: Duration) -> Result<()> {
    let attempts = async {
        loop {
            let request = Request::get("/")
                .header("host", to.to_string())
                .body(Full::default());
            if send(Target::plain(to), request?).await.is_ok() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(within, attempts).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("{to} does not answer within {} s", within.as_secs()),
    }
}

/// Waits until an admin API says that all that serves is there.
pub(crate) async fn wait_until_ready(admin: SocketAddr, within: Duration) -> Result<()> {
    let mut said = String::new();
    let attempts = async {
        loop {
            let request = Request::get("/ready").header("host", "localhost");
            let answer = send(Target::plain(admin), request.body(Full::default())?).await?;
            if answer.status == StatusCode::OK {
                return anyhow::Ok(());
            }
            said = String::from_utf8_lossy(&answer.body).into_owned();
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(within, attempts).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("not ready after {} s: {}", within.as_secs(), said.trim()),
    }
}

async fn exchange(to: Target<'_>, request: Request<Full<Bytes>>) -> Result<Answer> {
    let address = to.address;
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connect to {address}"))?;
    let Some(identity) = to.identity else {
        return exchange_on(TokioIo::new(stream), request).await;
    };
    let name = ServerName::from(address.ip());
    let connecting = TlsConnector::from(Arc::clone(&identity.client)).connect(name, stream);
    let stream = connecting.await.context("TLS")?;
    exchange_on(TokioIo::new(stream), request).await
}

async fn exchange_on(
    stream: impl Read + Write + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let answer = async {
        let response = sender.send_request(request).await.context("no answer")?;
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        let mut first = None;
        while let Some(frame) = incoming.frame().await {
            let frame = frame.context("the answer breaks off")?;
            first.get_or_insert_with(Instant::now);
            if let Some(data) = frame.data_ref() {
                body.extend_from_slice(data);
            }
        }
        let streamed_for = first.map(|first| first.elapsed()).unwrap_or_default();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            streamed_for,
        })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.context("the connection breaks off")?;
            answer.await
        }
    }
}
