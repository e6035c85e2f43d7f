//! Idle connections: each made one request and then stays open.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_benches::proc_files::{Memory, memory};
use tidegate_benches::process::Running;
use tidegate_benches::wait;

use crate::secured::Secured;
use crate::{Finding, start_gateway};

/// What one idle connection may cost.
const LIMIT: u64 = 16 << 10;
/// What one with TLS may cost.
const TLS_LIMIT: u64 = 32 << 10;

/// Descriptors beside the connections themselves.
const SPARE: u64 = 100;

/// How long the gateway may take to put things away.
const SETTLE: Duration = Duration::from_secs(2);

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Opens connections to a gateway and finds out what each costs it.
pub(crate) fn measure(connections: u32, tls: bool) -> Result<Finding> {
    allow_descriptors(u64::from(connections) + SPARE)?;
    let folder = tempfile::tempdir()?;
    let (_origin, address) = Running::origin(None, folder.path())?;
    let secured = tls.then(|| Secured::new(folder.path())).transpose()?;
    let secured = secured.as_ref();
    let (gateway, address) = start_gateway(address, None, secured, folder.path())?;

    let before = memory(gateway.id(), Memory::Resident)?;
    let open = (0..connections)
        .map(|number| open(address, secured).with_context(|| format!("open connection {number}")))
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("the gateway printed:\n{}", gateway.printed()))?;
    wait::pass(SETTLE)?;
    let after = memory(gateway.id(), Memory::Resident)?;
    let closed = open.iter().filter(|stream| !is_open(stream)).count();
    if closed > 0 {
        bail!("the gateway closed {closed} of {connections} connections meanwhile");
    }
    println!(
        "{connections} idle connections: {} KiB resident before, {} KiB with them",
        before >> 10,
        after >> 10
    );
    let each = after
        .saturating_sub(before)
        .div_ceil(u64::from(connections));
    Ok(if tls {
        Finding::new("each idle connection with TLS", each, TLS_LIMIT)
    } else {
        Finding::new("each idle connection", each, LIMIT)
    })
}

/// A connection that was used once.
fn open(address: SocketAddr, tls: Option<&Secured>) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    match tls {
        None => use_once(&stream, address)?,
        Some(tls) => use_once(tls.begin(&stream)?, address)?,
    }
    Ok(stream)
}

/// Makes one request, whose answer is read to its end.
fn use_once(mut stream: impl Read + Write, address: SocketAddr) -> Result<()> {
    write!(stream, "GET /100 HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    // The body is a hundred dots, and a head has no such line.
    while !answer.ends_with(&[b'.'; 100]) {
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if read == 0 {
            bail!("no whole answer: {}", String::from_utf8_lossy(&answer));
        }
    }
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        bail!("answered {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok()
        && stream
            .peek(&mut [0])
            .is_err_and(|err| err.kind() == ErrorKind::WouldBlock)
}

/// Allows this process, and what it starts, so many open files.
fn allow_descriptors(wanted: u64) -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < wanted) {
        bail!("this needs {wanted} open files; `ulimit -n {wanted}` as root allows them");
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum,
        },
    )
    .with_context(|| format!("allow {wanted} open files"))
}
