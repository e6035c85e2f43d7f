//! A long body through a filter that lets bodies pass, once in each direction.
//!
//! The receiver begins late, so that whatever the gateway is willing to hold is held: without
//! back-pressure, that would be most of the body.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_benches::proc_files::{Memory, memory, reset_peak};
use tidegate_benches::process::Running;
use tidegate_benches::{wait, wat_filters};

use crate::message::{read_body, read_head};
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
    let (gateway, address) = start_gateway(origin, Some(&filter), None, folder.path())?;
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
    let mut answer = BufReader::new(stream);
    let head = read_head(&mut answer)?.context("no answer")?;
    let received = head
        .lines()
        .find_map(|line| line.strip_prefix("x-received: "));
    if received != Some(bytes.to_string().as_str()) {
        bail!("of {bytes} bytes the origin got {received:?}:\n{head}");
    }
    Ok(())
}

fn download(to: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = connect(to)?;
    write!(stream, "GET /{bytes} HTTP/1.1\r\nhost: {to}\r\n\r\n")?;
    wait::pass(RECEIVER_SLEEPS)?;
    let mut answer = BufReader::with_capacity(CHUNK, stream);
    let head = read_head(&mut answer)?.context("no answer")?;
    let received = read_body(&mut answer, &head)?;
    if received != bytes {
        bail!("of {bytes} bytes the client got {received}:\n{head}");
    }
    Ok(())
}

/// An origin that answers GET with as many bytes as the path says, and everything else with the
/// number of bytes it got, in `x-received`.
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
    let mut requests = BufReader::with_capacity(CHUNK, stream.try_clone()?);
    while let Some(head) = read_head(&mut requests)? {
        if let Some(path) = head.strip_prefix("GET /") {
            let bytes: u64 = path.split(' ').next().unwrap_or_default().parse()?;
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n")?;
            send(&mut stream, bytes)?;
        } else {
            wait::pass(RECEIVER_SLEEPS)?;
            let received = read_body(&mut requests, &head)?;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nx-received: {received}\r\ncontent-length: 0\r\n\r\n"
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
