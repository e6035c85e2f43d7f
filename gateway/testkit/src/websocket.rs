//! WebSockets at both ends, by a library that has nothing to do with the gateway.

use std::io;
use std::net::SocketAddr;
use std::net::TcpStream;

pub use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::HandshakeError;
pub use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::http::Response;

use crate::LIMIT;
use crate::Origin;

/// The head of an answer.
pub type Head = Response<Option<Vec<u8>>>;

/// An open WebSocket.
pub type Socket = WebSocket<TcpStream>;

/// Opens a WebSocket; waits at most [`LIMIT`] for each message.
///
/// # Panics
///
/// If it is refused.
#[track_caller]
pub fn open(address: SocketAddr, path: &str) -> Socket {
    try_open(address, path)
        .unwrap_or_else(|err| panic!("the WebSocket is refused: {err}"))
        .0
}

/// As [`open`]; returns also the head of the answer.
///
/// # Errors
///
/// Why it was refused: [`Error::Http`] is an ordinary answer.
///
/// # Panics
///
/// If there is no connection.
#[track_caller]
pub fn try_open(address: SocketAddr, path: &str) -> Result<(Socket, Head), Error> {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
    stream.set_nodelay(true).expect("no delay");
    let url = format!("ws://{address}{path}");
    match tokio_tungstenite::tungstenite::client(url, stream) {
        Ok(opened) => Ok(opened),
        Err(HandshakeError::Failure(err)) => Err(err),
        Err(HandshakeError::Interrupted(_)) => Err(Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// Opens a WebSocket on a stream that somebody else has made, such as one of TLS.
///
/// # Panics
///
/// If it is refused.
#[track_caller]
pub fn open_on<S: io::Read + io::Write>(stream: S, url: &str) -> WebSocket<S> {
    match tokio_tungstenite::tungstenite::client(url, stream) {
        Ok((socket, _)) => socket,
        Err(err) => panic!("the WebSocket is refused: {err}"),
    }
}

/// An origin that sends every message back, until the client closes.
pub fn echoes() -> Origin {
    Origin::script(|connection| {
        let mut socket = accept(connection.stream())?;
        loop {
            match socket.read() {
                Ok(message @ (Frame::Text(_) | Frame::Binary(_))) => {
                    socket.send(message).map_err(io::Error::other)?;
                }
                // Pings and closes are answered by the library.
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return Ok(()),
                Err(err) => return Err(io::Error::other(err)),
            }
        }
    })
}

/// What a server answers to a client's key.
pub fn answer_to(key: &str) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes())
}

/// Takes a connection's handshake.
///
/// # Errors
///
/// The library's, if it is none.
pub fn accept(stream: &TcpStream) -> io::Result<Socket> {
    let accepted = tokio_tungstenite::tungstenite::accept(stream.try_clone()?);
    accepted.map_err(|err| io::Error::other(err.to_string()))
}
