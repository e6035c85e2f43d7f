//! Pages of Envoy's admin interface.

use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::fields::{Fields, text};
use crate::live::http1::{self, Framing};

/// The text of a page.
///
/// # Errors
/// If it cannot be read.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    read(address, path).map_err(|error| format!("Envoy's admin interface: {error}"))
}

fn read(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut fields = Fields::default();
    fields.add("host", "admin");
    fields.add("connection", "close");
    http1::write_head(&mut stream, &format!("GET {path} HTTP/1.1"), &fields)?;
    let mut from = BufReader::new(stream);
    let head = http1::read_head(&mut from)?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let framing = http1::framing(&head.fields, Framing::UntilClose);
    let mut body = Vec::new();
    http1::read_body(&mut from, framing, &mut |part| body.extend_from_slice(part))?;
    Ok(text(&body))
}
