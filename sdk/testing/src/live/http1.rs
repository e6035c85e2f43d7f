//! HTTP/1.1 on sockets (RFC 9112), as little of it as a test's clients and backends need.
//!
//! What comes from the program under test is believed: a message that is wrong is an error.

use std::io::{self, BufRead, Write};

use crate::fields::{Fields, text};

/// The first line of a message, and its headers.
pub(super) struct Head {
    pub(super) start: String,
    pub(super) fields: Fields,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads the head of a message; `None` if the peer has nothing more to say.
pub(super) fn read_head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(start) = read_line(from)? else {
        return Ok(None);
    };
    let fields = read_fields(from)?;
    Ok(Some(Head { start, fields }))
}

fn read_fields(from: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Fields::default();
    loop {
        let line = read_bytes(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let mut parts = line.splitn(2, |it| *it == b':');
        let name = parts.next().unwrap_or_default();
        let value = parts.next().ok_or(io::ErrorKind::InvalidData)?;
        fields.add(&text(name), value.trim_ascii());
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    Ok(read_bytes(from)?.map(|line| text(&line)))
}

/// A line without its end.
fn read_bytes(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let line = line
        .strip_suffix(b"\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
}

/// Where the body of a message ends; `without` is what no framing means.
pub(super) fn framing(fields: &Fields, without: Framing) -> Framing {
    let coding = fields.get("transfer-encoding").unwrap_or_default();
    if coding.eq_ignore_ascii_case("chunked") {
        return Framing::Chunked;
    }
    fields.length().map_or(without, Framing::Length)
}

/// Reads a body in the parts in which it comes; gives the trailers.
pub(super) fn read_body(
    from: &mut impl BufRead,
    framing: Framing,
    part: &mut dyn FnMut(&[u8]),
) -> io::Result<Fields> {
    match framing {
        Framing::None => {}
        Framing::Length(length) => read_exactly(from, length, part)?,
        Framing::UntilClose => loop {
            let bytes = from.fill_buf()?;
            let length = bytes.len();
            if length == 0 {
                break;
            }
            part(bytes);
            from.consume(length);
        },
        Framing::Chunked => loop {
            let line = read_line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16);
            let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                return read_fields(from);
            }
            read_exactly(from, size, part)?;
            read_line(from)?;
        },
    }
    Ok(Fields::default())
}

fn read_exactly(
    from: &mut impl BufRead,
    mut left: usize,
    part: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    while left > 0 {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = bytes.get(..left).unwrap_or(bytes);
        let length = taken.len();
        part(taken);
        from.consume(length);
        left -= length;
    }
    Ok(())
}

/// Writes a head in one piece.
pub(super) fn write_head(to: &mut impl Write, start: &str, fields: &Fields) -> io::Result<()> {
    let mut bytes = format!("{start}\r\n").into_bytes();
    push_fields(&mut bytes, fields);
    to.write_all(&bytes)?;
    to.flush()
}

fn push_fields(bytes: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in &fields.0 {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

/// Writes a part of a body.
pub(super) fn write_part(to: &mut impl Write, chunked: bool, part: &[u8]) -> io::Result<()> {
    if part.is_empty() {
        return Ok(());
    }
    let mut bytes = Vec::new();
    if chunked {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
    }
    bytes.extend_from_slice(part);
    if chunked {
        bytes.extend_from_slice(b"\r\n");
    }
    to.write_all(&bytes)?;
    to.flush()
}

/// Ends a body that was written in chunks.
pub(super) fn write_end(to: &mut impl Write, trailers: &Fields) -> io::Result<()> {
    let mut bytes = b"0\r\n".to_vec();
    push_fields(&mut bytes, trailers);
    to.write_all(&bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_chunks_is_read_with_its_trailers() {
        let mut bytes = Vec::new();
        let mut trailers = Fields::default();
        trailers.add("x-sum", "7");
        write_part(&mut bytes, true, b"hello, ").unwrap();
        write_part(&mut bytes, true, b"").unwrap();
        write_part(&mut bytes, true, b"world").unwrap();
        write_end(&mut bytes, &trailers).unwrap();
        let mut body = Vec::new();
        let read = read_body(&mut &bytes[..], Framing::Chunked, &mut |part| {
            body.extend_from_slice(part);
        });
        assert_eq!(read.unwrap(), trailers);
        assert_eq!(body, b"hello, world");
        for end in 0..bytes.len() {
            let read = read_body(&mut &bytes[..end], Framing::Chunked, &mut |_| {});
            assert!(read.is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        let mut fields = Fields::default();
        fields.add("Host", "app.test");
        fields.add("content-length", "3");
        fields.add("x-bytes", b"k\xe9");
        write_head(&mut bytes, "POST / HTTP/1.1", &fields).unwrap();
        let mut rest = &bytes[..];
        let head = read_head(&mut rest).unwrap().unwrap();
        assert_eq!(head.start, "POST / HTTP/1.1");
        assert_eq!(head.fields, fields);
        assert_eq!(framing(&head.fields, Framing::None), Framing::Length(3));
        assert!(read_head(&mut rest).unwrap().is_none());
    }
}
