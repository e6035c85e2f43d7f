//! Redis servers of a test, on loopback addresses. Each connection has a thread.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fields::text;
use crate::live::message;
use crate::live::server::Servers;
use crate::redis::{RedisCommand, RedisLogin, words};
use crate::reply::Course;

/// Serves one; it ends with the process.
pub(super) fn serve(servers: &Servers, name: &str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (servers, name) = (servers.clone(), name.to_owned());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (servers, name) = (servers.clone(), name.clone());
            std::thread::spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| attend(&servers, &name, &stream)));
                stream.shutdown(Shutdown::Both).ok();
                if let Err(panic) = outcome {
                    let why = message(&*panic);
                    let why = format!("a Redis server of the test panicked: {why}");
                    servers.seen.with(|seen| seen.broken = Some(why));
                }
            });
        }
    });
    Ok(address)
}

/// Answers the commands of one connection, one after the other.
fn attend(servers: &Servers, name: &str, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream.try_clone()?);
    let mut login = RedisLogin::default();
    while let Some(command) = read(&mut from)? {
        let words = words(&command).ok_or(io::ErrorKind::InvalidData)?;
        let command = RedisCommand {
            words,
            login: login.clone(),
            at: servers.clock.unix_time(),
        };
        if logs_in(&mut login, &command) {
            stream.write_all(b"+OK\r\n")?;
            continue;
        }
        servers.seen.with(|seen| {
            let commands = seen.commands.entry(name.to_owned()).or_default();
            commands.push(command.clone());
        });
        let reply = servers.backends.command(name, &command);
        let reply = reply.ok_or(io::ErrorKind::ConnectionRefused)?;
        servers.clock.wait(reply.after);
        match reply.course {
            Course::Whole => stream.write_all(&reply.bytes)?,
            Course::Never => {}
            Course::Reset | Course::Cut => return Ok(()),
        }
    }
    Ok(())
}

/// Whether a command is one of the connection's beginning, which tests do not see.
fn logs_in(login: &mut RedisLogin, command: &RedisCommand) -> bool {
    let last = command.words.last().map(|word| text(word));
    let last = last.unwrap_or_default();
    match command.name().as_str() {
        "AUTH" => {
            login.password = last;
            if command.words.len() > 2 {
                login.user = command.text(1);
            }
        }
        "SELECT" => login.database = last.parse().unwrap_or(0),
        _ => return false,
    }
    true
}

/// One command as it came; nothing at the end of the connection.
fn read(from: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut command = Vec::new();
    let Some(count) = number(from, &mut command, b'*')? else {
        return Ok(None);
    };
    for _ in 0..count {
        let length = number(from, &mut command, b'$')?;
        let length = length.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut word = vec![0; length + 2];
        from.read_exact(&mut word)?;
        command.extend_from_slice(&word);
    }
    Ok(Some(command))
}

/// The number of a line that begins with this byte; nothing at the end.
fn number(
    from: &mut BufReader<TcpStream>,
    command: &mut Vec<u8>,
    kind: u8,
) -> io::Result<Option<usize>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    command.extend_from_slice(&line);
    let digits = line.strip_prefix(&[kind]).map(text);
    let number = digits.and_then(|digits| digits.trim_end().parse().ok());
    number
        .filter(|number| *number <= 1024 * 1024)
        .map(Some)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
