//! A long body through a filter that lets bodies pass, once in each direction.
//!
//! The receiver begins late, so that whatever the gateway is willing to hold is held: without
//! back-pressure, that would be most of the body.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_benches::proc_files::{Memory, memory, reset_peak};
use tidegate_benches::process::Running;
use tidegate_benches::{wait, wat_filters};

use crate::{Finding, start_gateway};

/// How far memory may grow while a body passes.
const LIMIT: u64 = 32 << 20;

/// How late a receiver begins.
const RECEIVER_SLEEPS: Duration = Duration::from_secs(1);

/// How long nothing may come.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// How much is written or read at once.
const CHUNK: usize = 256 << 10;

/// Sends a body up and gets one down.
pub(crate) fn measure(bytes: u64) -> Result<Vec<Finding>> {
    let origin = start_origin()?;
    let folder = tempfile::tempdir()?;
    let filter = folder.path().join("pass-bodies.wasm");
    std::fs::write(&filter, wat_filters::module(wat_filters::PASS_BODIES)?)?;
    let (gateway, address) = start_gateway(origin, Some(&filter), folder.path())?;
    let up = growth(&gateway, "sent up", bytes, || upload(address, bytes));
    let up = up.with_context(|| format!("the gateway printed:\n{}", gateway.printed()))?;
    let down = growth(&gateway, "got down", bytes, || download(address, bytes));
    let down = down.with_context(|| format!("the gateway printed:\n{}", gateway.printed()))?;
    Ok(vec![up, down])
}

fn growth(
    gateway: &Running,
    what: &str,
    bytes: u64,
    transfer: impl FnOnce() -> Result<()>,
) -> Result<Finding> {
    reset_peak(gateway.id())?;
    let before = memory(gateway.id(), Memory::Resident)?;
    let started = Instant::now();
    transfer().with_context(|| format!("a body {what}"))?;
    let took = started.elapsed();
    let peak = memory(gateway.id(), Memory::Peak)?;
    println!(
        "{} MiB {what} in {:.1} s: {} KiB resident before, {} KiB at the peak",
        bytes >> 20,
        took.as_secs_f64(),
        before >> 10,
        peak >> 10
    );
    Ok(Finding::new(
        &format!("growth by a body {what}"),
        peak.saturating_sub(before),
        LIMIT,
    ))
}

fn upload(to: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = connect(to)?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {to}\r\ncontent-length: {bytes}\r\n\r\n"
    )?;
    send(&mut stream, bytes)?;
    let (head, rest) = read_head(&mut stream)?;
    let length = content_length(&head)?;
    let mut answer = rest;
    while (answer.len() as u64) < length {
        let mut buffer = [0; 64];
        match stream.read(&mut buffer)? {
            0 => break,
            read => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer != bytes.to_string() {
        bail!("of {bytes} bytes the origin got {answer:?}:\n{head}");
    }
    Ok(())
}

fn download(to: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = connect(to)?;
    write!(stream, "GET /{bytes} HTTP/1.1\r\nhost: {to}\r\n\r\n")?;
    wait::pass(RECEIVER_SLEEPS)?;
    let (head, rest) = read_head(&mut stream)?;
    let length = content_length(&head)?;
    if length != bytes {
        bail!("{length} bytes were announced, not {bytes}:\n{head}");
    }
    receive(&mut stream, bytes - rest.len() as u64)
}

/// An origin that answers GET with as many bytes as the path says, and everything else with the
/// number of bytes it got.
fn start_origin() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let serve = move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // The gateway closes its connections between requests; all else is of interest.
                if let Err(err) = serve_connection(stream) {
                    eprintln!("origin: {err:#}");
                }
            });
        }
    };
    thread::Builder::new().name("origin".into()).spawn(serve)?;
    Ok(address)
}

fn serve_connection(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    while stream.peek(&mut [0])? > 0 {
        let (head, rest) = read_head(&mut stream)?;
        if let Some(path) = head.strip_prefix("GET /") {
            let bytes: u64 = path.split(' ').next().unwrap_or_default().parse()?;
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n")?;
            send(&mut stream, bytes)?;
        } else {
            let length = content_length(&head)?;
            wait::pass(RECEIVER_SLEEPS)?;
            receive(&mut stream, length - rest.len() as u64)?;
            let answer = length.to_string();
            let size = answer.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{answer}"
            )?;
        }
    }
    Ok(())
}

fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(SILENCE_LIMIT))?;
    stream.set_write_timeout(Some(SILENCE_LIMIT))?;
    Ok(stream)
}

fn send(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut source = std::io::repeat(b'.').take(bytes);
    let mut chunk = vec![0; CHUNK];
    loop {
        match source.read(&mut chunk)? {
            0 => return Ok(()),
            read => stream.write_all(chunk.get(..read).unwrap_or_default())?,
        }
    }
}

fn receive(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut left = bytes;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        match stream.read(&mut chunk)? {
            0 => bail!("{left} of {bytes} bytes did not come"),
            read => left = left.saturating_sub(read as u64),
        }
    }
    Ok(())
}

/// The next head, and what came with it of the body.
fn read_head(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut text = Vec::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the connection ended in a head");
        }
        text.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if let Some(end) = text.windows(4).position(|it| it == b"\r\n\r\n") {
            let rest = text.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&text).into_owned(), rest));
        }
    }
}

fn content_length(head: &str) -> Result<u64> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths
        .next()
        .with_context(|| format!("no content-length:\n{head}"))?;
    Ok(length.trim().parse()?)
}
