//! Connections of bytes in a real host: their client, and the server behind the filter.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::answer::End;
use crate::backends::Backends;
use crate::observed::Seen;

/// Bytes that are read at once.
const PART: usize = 16 * 1024;

/// Connects a client; a thread reads what comes.
pub(super) fn connect(address: SocketAddr, seen: &Seen, exchange: u32) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (mut from, seen) = (stream.try_clone()?, seen.clone());
    std::thread::spawn(move || {
        let end = each_part(&mut from, |part| {
            seen.with(|seen| seen.answer(exchange).body.extend_from_slice(part));
            Ok(())
        });
        let end = if end.is_ok() { End::Whole } else { End::Cut };
        seen.with(|seen| {
            let answer = seen.answer(exchange);
            if answer.end == End::Pending {
                answer.end = end;
            }
        });
    });
    Ok(stream)
}

/// Starts the server.
pub(super) fn serve(backends: &Backends, seen: &Seen) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (backends, seen) = (backends.clone(), seen.clone());
    // It ends with the process: nobody connects once the program under test has ended.
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let place = seen.with(|seen| {
                seen.connections.push(Vec::new());
                seen.connections.len() - 1
            });
            let (backends, seen) = (backends.clone(), seen.clone());
            std::thread::spawn(move || {
                // A host that breaks off ends the connection, which the test sees at the other end.
                attend(&stream, &backends, &seen, place).ok();
                stream.shutdown(Shutdown::Both).ok();
            });
        }
    });
    Ok(address)
}

fn attend(stream: &TcpStream, backends: &Backends, seen: &Seen, place: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut from, mut to) = (stream.try_clone()?, stream.try_clone()?);
    let mut say = |parts: Vec<Vec<u8>>| parts.iter().try_for_each(|part| to.write_all(part));
    say(backends.greeting())?;
    let mut pending = Vec::new();
    each_part(&mut from, |part| {
        seen.with(|seen| {
            if let Some(known) = seen.connections.get_mut(place) {
                known.extend_from_slice(part);
            }
        });
        pending.extend_from_slice(part);
        say(backends.serve(&mut pending))
    })
}

fn each_part(
    from: &mut TcpStream,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PART];
    loop {
        let count = from.read(&mut buffer)?;
        let part = buffer.get(..count).unwrap_or_default();
        if part.is_empty() {
            return Ok(());
        }
        take(part)?;
    }
}
