//! Streams that have become tunnels (RFC 8441), and WebSockets on them by a library that has nothing
//! to do with the gateway.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf as _;
use bytes::Bytes;
use futures_util::SinkExt as _;
use futures_util::StreamExt as _;
use h2::RecvStream;
use h2::SendStream;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::HeaderMap;
use http::Request;
use http::Response;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::Http2Origin;
use crate::http2::Answer;
use crate::http2::read_body;
use crate::websocket::Frame;

/// A stream that has become a tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// What is sent.
    pub sending: SendStream<Bytes>,
    /// What is received.
    pub receiving: RecvStream,
    /// The fields of the answer that opened it.
    pub headers: HeaderMap,
    read: Bytes,
}

/// A WebSocket on a stream.
pub type Socket = WebSocketStream<Tunnel>;

/// The opening of a tunnel for a protocol, as browsers write it.
///
/// # Panics
///
/// If the path is none.
pub fn opening(protocol: &str, path: &str) -> Request<()> {
    let mut request = crate::http2::request("CONNECT", path);
    request.extensions_mut().insert(Protocol::from(protocol));
    let version = http::HeaderValue::from_static("13");
    request
        .headers_mut()
        .insert("sec-websocket-version", version);
    request
}

/// Waits until the server has said that it opens tunnels.
///
/// # Panics
///
/// If the connection is over.
pub async fn announced(client: SendRequest<Bytes>) -> SendRequest<Bytes> {
    let client = client.ready().await.expect("room");
    while !client.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    client
}

/// Opens a tunnel; an answer that is no success is returned whole.
///
/// # Panics
///
/// If there is no answer.
pub async fn try_open(
    client: SendRequest<Bytes>,
    request: Request<()>,
) -> Result<Tunnel, Box<Answer>> {
    let mut client = announced(client).await;
    let (response, sending) = client.send_request(request, false).expect("sent");
    let (head, mut receiving) = response.await.expect("an answer").into_parts();
    if !head.status.is_success() {
        let body = read_body(&mut receiving).await.unwrap_or_default();
        return Err(Box::new(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            ..Answer::default()
        }));
    }
    assert_eq!(head.status.as_u16(), 200);
    Ok(Tunnel {
        sending,
        receiving,
        headers: head.headers,
        read: Bytes::new(),
    })
}

/// Opens a WebSocket on a stream.
///
/// # Panics
///
/// If it is refused.
pub async fn socket(client: SendRequest<Bytes>, path: &str) -> Socket {
    match try_open(client, opening("websocket", path)).await {
        Ok(tunnel) => tunnel.into_socket().await,
        Err(answer) => panic!("the WebSocket is refused: {answer:?}"),
    }
}

/// Sends a text and waits for it to come back.
///
/// # Panics
///
/// If it does not.
pub async fn echo(socket: &mut Socket, text: &str) {
    socket.send(Frame::text(text)).await.expect("sent");
    let back = socket.next().await.expect("an echo").expect("an echo");
    assert_eq!(back, Frame::text(text));
}

/// Sends a message.
///
/// # Panics
///
/// If it cannot be sent.
pub async fn send(socket: &mut Socket, frame: Frame) {
    socket.send(frame).await.expect("sent");
}

/// The next message; `None` if there is none any more.
pub async fn next(socket: &mut Socket) -> Option<Frame> {
    socket.next().await?.ok()
}

/// Closes, and waits for the other side to do so too.
///
/// # Panics
///
/// If it does not.
pub async fn close(mut socket: Socket) {
    socket.close(None).await.expect("sent");
    let end = socket.next().await.expect("an answer").expect("an answer");
    assert!(end.is_close(), "{end:?}");
    while let Some(Ok(_)) = socket.next().await {}
    let ended = socket.get_mut().sending.send_data(Bytes::new(), true);
    // A server that is done need not want it.
    ended.ok();
}

impl Tunnel {
    /// The tunnel of a request that asks for one, with this answer to it.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn accept(
        request: Request<RecvStream>,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<Self, h2::Error> {
        let (head, receiving) = request.into_parts();
        let sending = respond.send_response(Response::new(()), false)?;
        Ok(Self {
            sending,
            receiving,
            headers: head.headers,
            read: Bytes::new(),
        })
    }

    /// A client's WebSocket on it.
    pub async fn into_socket(self) -> Socket {
        WebSocketStream::from_raw_socket(self, Role::Client, None).await
    }
}

/// An origin that opens tunnels on streams and sends every message back, until the client closes.
pub fn echoes() -> Http2Origin {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    Http2Origin::with(builder, |request, mut respond| async move {
        if request.extensions().get::<Protocol>().is_none() {
            let mut body = respond.send_response(Response::new(()), false)?;
            return body.send_data("no tunnel".into(), true);
        }
        let tunnel = Tunnel::accept(request, &mut respond)?;
        let mut socket = WebSocketStream::from_raw_socket(tunnel, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
        socket.get_mut().sending.send_data(Bytes::new(), true)
    })
}

fn broken(err: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, err)
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.read.is_empty() {
            match ready!(this.receiving.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => {
                    let flow = this.receiving.flow_control();
                    flow.release_capacity(data.len()).map_err(broken)?;
                    this.read = data;
                }
                Some(Err(err)) => return Poll::Ready(Err(broken(err))),
            }
        }
        let take = this.read.len().min(into.remaining());
        into.put_slice(&this.read[..take]);
        this.read.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sending = &mut self.get_mut().sending;
        sending.reserve_capacity(bytes.len());
        if sending.capacity() == 0 {
            match ready!(sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(err)) => return Poll::Ready(Err(broken(err))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let take = sending.capacity().min(bytes.len());
        let sent = sending.send_data(Bytes::copy_from_slice(&bytes[..take]), false);
        Poll::Ready(sent.map(|()| take).map_err(broken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.get_mut().sending.send_data(Bytes::new(), true);
        Poll::Ready(sent.map_err(broken))
    }
}
