//! Origins that say who they are and send back what they were sent.
//!
//! What else an origin shall answer comes with the request, so that a table of requests is enough to
//! describe an exchange: see [`REPLY`] and [`STALL`].

use std::io;
use std::net::SocketAddr;

use crate::Message;
use crate::Origin;
use crate::origin::OriginConnection;

/// The response field with the origin's name.
pub const NAME: &str = "x-origin";
/// A request field, each line of which the origin answers with: `x-reply: vary: accept`.
pub const REPLY: &str = "x-reply";
/// A request field that stops the origin before the `head` or the `body` of its answer, until the
/// gateway closes.
pub const STALL: &str = "x-stall";

/// An origin with a name. The body of its answers is the request, byte for byte.
#[derive(Debug)]
pub struct Echo {
    origin: Origin,
    /// Its name.
    pub name: String,
}

impl Echo {
    /// Starts one.
    pub fn named(name: &str) -> Self {
        let shown = name.to_owned();
        let origin = Origin::script(move |connection| {
            while let Ok(request) = connection.request() {
                answer(connection, &request, &shown)?;
            }
            Ok(())
        });
        Self {
            origin,
            name: name.to_owned(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Whether all its connections have ended.
    pub fn is_idle(&self) -> bool {
        self.origin.is_idle()
    }

    /// The requests it has read.
    pub fn requests(&self) -> Vec<Message> {
        self.origin.requests()
    }
}

fn answer(connection: &mut OriginConnection, request: &Message, name: &str) -> io::Result<()> {
    let stall = request.field(STALL);
    if stall == Some("head") {
        return connection.wait_for_close();
    }
    let mut head = format!("HTTP/1.1 200 OK\r\n{NAME}: {name}\r\n");
    for field in request.values(REPLY) {
        head.push_str(&format!("{field}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", request.raw.len()));
    let is_head = request.start.starts_with("HEAD ");
    connection.send(head)?;
    match stall {
        Some("body") => connection.wait_for_close(),
        _ if is_head => Ok(()),
        _ => connection.send(&request.raw),
    }
}
