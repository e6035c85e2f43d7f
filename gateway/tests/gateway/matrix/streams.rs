//! Sends the requests of cases on streams of HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use tidegate_testkit::LIMIT;
use tidegate_testkit::Message;
use tidegate_testkit::http2;
use tokio::net::TcpStream;

use super::cases::Request;
use super::cases::expand;
use super::sites::pairs;

/// Sends a request on a connection of its own, and reads what comes of it.
pub(crate) fn exchange(request: &Request, proxy: SocketAddr) -> io::Result<Message> {
    http2::run(async {
        let patience = LIMIT - Duration::from_secs(1);
        match tokio::time::timeout(patience, on_a_stream(request, proxy)).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    })
}

async fn on_a_stream(request: &Request, proxy: SocketAddr) -> io::Result<Message> {
    let socket = TcpStream::connect(proxy).await?;
    let (client, connection) = h2::client::handshake(socket)
        .await
        .map_err(io::Error::other)?;
    tokio::task::spawn_local(connection);
    let mut client = client.ready().await.map_err(io::Error::other)?;
    let has_body = !request.pieces.is_empty() || !request.trailers.is_empty();
    let (response, mut body) = client
        .send_request(head(request), !has_body)
        .map_err(io::Error::other)?;
    let upload = async {
        if has_body {
            send(request, &mut body).await.ok();
        }
        std::future::pending::<()>().await;
    };
    // A proxy may answer before it has all of a large body.
    let answer = tokio::select! {
        answer = http2::read(response) => answer.map_err(io::Error::other)?,
        () = upload => return Err(io::ErrorKind::WouldBlock.into()),
    };
    Ok(Message {
        start: format!("HTTP/2 {}", answer.status),
        fields: pairs(&answer.headers),
        body: answer.body,
        trailers: answer.trailers.as_ref().map(pairs).unwrap_or_default(),
        raw: Vec::new(),
    })
}

/// The head as HTTP/2 has it.
fn head(request: &Request) -> http::Request<()> {
    let text = request.head();
    let mut lines = text.lines();
    let start = lines.next().unwrap_or_default();
    let mut words = start.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut head = http::Request::new(());
    *head.method_mut() = method.parse().expect("a method");
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        // HTTP/2 says both in other ways.
        if !matches!(name, "host" | "transfer-encoding") {
            append(head.headers_mut(), name, value);
        }
    }
    let uri = format!("http://matrix.test{path}");
    *head.uri_mut() = uri.parse().expect("a path");
    head
}

async fn send(request: &Request, body: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    let last = request.pieces.len().saturating_sub(1);
    for (number, piece) in request.pieces.iter().enumerate() {
        let ends = number == last && request.trailers.is_empty();
        http2::send(body, expand(piece).into(), ends).await?;
    }
    if !request.trailers.is_empty() {
        let mut trailers = HeaderMap::new();
        for (name, value) in request.trailers.iter().filter_map(|it| it.split_once(':')) {
            append(&mut trailers, name, value);
        }
        body.send_trailers(trailers)?;
    }
    Ok(())
}

fn append(fields: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
    let value = HeaderValue::from_str(value.trim()).expect("a value");
    fields.append(name, value);
}
