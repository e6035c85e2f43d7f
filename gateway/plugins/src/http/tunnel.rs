//! Asking a proxy to connect (CONNECT, RFC 9110 §9.3.6).

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::http::connect::Io;
use crate::http::proxies::Proxy;
use crate::http::redirect::Origin;
use crate::quote;

/// Most bytes of a proxy's answer.
const MAX_HEAD: usize = 8 << 10;

/// Asks for a tunnel; the error is what the proxy said or did.
pub(super) async fn ask(io: &mut Box<dyn Io>, to: &Origin, proxy: &Proxy) -> Result<(), String> {
    let failed = |err: io::Error| format!("the connection to it failed: {err}");
    let target = format!("{}:{}", to.host, to.port);
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(value) = &proxy.authorization {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    io.write_all(&head).await.map_err(failed)?;
    io.flush().await.map_err(failed)?;
    let answer = read_head(io).await?;
    let line = answer.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next() {
        Some(status) if is_http && status.len() == 3 && status.starts_with('2') => Ok(()),
        Some("407") if is_http => {
            Err("it wants credentials, or others: put them into the proxy's address".to_owned())
        }
        _ => Err(format!("it answered {:?}", quote::short(line))),
    }
}

/// One byte at a time, so that nothing of what comes behind the head is taken.
async fn read_head(io: &mut Box<dyn Io>) -> Result<String, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err("its answer is too long".to_owned());
        }
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(err) => return Err(format!("it closed the connection: {err}")),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
