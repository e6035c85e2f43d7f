//! `grpc-origin LISTEN`: answers every gRPC call with the message it came with, over HTTP/2 without TLS.
//!
//! The origin of gRPC measurements, on h2 alone. Its windows are large, so that they never are what is
//! measured.

use std::env;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use h2::server::{Builder, SendResponse};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Windows of streams and connections.
const WINDOW: u32 = 1 << 20;

/// The most calls at once on a connection.
const STREAMS: u32 = 1000;

fn main() -> Result<()> {
    let listen: SocketAddr = env::args()
        .nth(1)
        .context("usage: grpc-origin LISTEN")?
        .parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listen at {listen}"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(connection(stream));
        }
    })
}

async fn connection(stream: TcpStream) {
    let mut builder = Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS);
    let Ok(mut connection) = builder.handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(async move {
            // A call that was given up needs no answer.
            drop(answer(request, respond).await);
        });
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut message = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        message.extend_from_slice(&piece);
    }
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(message.freeze(), false)?;
    let mut trailers = HeaderMap::new();
    let status = HeaderName::from_static("grpc-status");
    trailers.insert(status, HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}
