//! A client for one request, which notes when the parts of the answer came.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

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
pub(crate) async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer> {
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
            if send(to, request?).await.is_ok() {
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

async fn exchange(to: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer> {
    let stream = TcpStream::connect(to)
        .await
        .with_context(|| format!("connect to {to}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
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
