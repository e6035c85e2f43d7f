//! Just enough HTTP/1.1 to count the bytes of a body, by length or in chunks.

use std::io::BufRead;

use anyhow::{Context, Result, bail};

/// The next head with its last line, or nothing if the connection ended before it.
pub(crate) fn read_head(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            if head.is_empty() {
                return Ok(None);
            }
            bail!("the connection ended in a head:\n{head}");
        }
    }
    Ok(Some(head))
}

/// Reads a body and returns how long it was.
pub(crate) fn read_body(from: &mut impl BufRead, head: &str) -> Result<u64> {
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(value.trim())
    };
    if field("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        return read_chunks(from);
    }
    let length = field("content-length").with_context(|| format!("a body without end:\n{head}"))?;
    let length = length.parse()?;
    skip(from, length)?;
    Ok(length)
}

fn read_chunks(from: &mut impl BufRead) -> Result<u64> {
    let mut total = 0;
    let mut line = String::new();
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).with_context(|| format!("chunk size {line:?}"))?;
        total += size;
        if size == 0 {
            // No trailers are expected here.
            skip(from, 2)?;
            return Ok(total);
        }
        skip(from, size + 2)?;
    }
}

fn skip(from: &mut impl BufRead, bytes: u64) -> Result<()> {
    let mut left = bytes;
    while left > 0 {
        let there = from.fill_buf()?.len();
        if there == 0 {
            bail!("{left} of {bytes} bytes did not come");
        }
        let taken = usize::try_from(left).map_or(there, |left| left.min(there));
        from.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, length: u64) {
        let from = &mut message.as_bytes();
        let head = read_head(from).unwrap().unwrap();
        assert_eq!(read_body(from, &head).unwrap(), length, "{message}");
        assert_eq!(*from, b"next");
    }

    #[test]
    fn bodies_end_by_length_or_with_the_last_chunk() {
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcnext", 3);
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na;x\r\n0123456789\r\n0\r\n\r\nnext",
            10,
        );
    }

    #[test]
    fn a_body_that_breaks_off_is_an_error() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";
        let err = read_body(&mut &b"abc"[..], head).unwrap_err();
        assert_eq!(err.to_string(), "1 of 4 bytes did not come");
        assert!(read_head(&mut &b"HTTP/1.1 2"[..]).is_err());
        assert_eq!(read_head(&mut &b""[..]).unwrap(), None);
    }
}
