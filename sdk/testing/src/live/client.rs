//! The client of one exchange, on a connection of its own. A thread reads the answer.

use std::io::{self, BufReader};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::answer::End;
use crate::fields::Fields;
use crate::live::http1::{self, Framing};
use crate::live::wire;
use crate::observed::Seen;
use crate::request::Request;

/// A client.
pub(super) struct Client {
    stream: TcpStream,
    chunked: bool,
    /// It sends bytes, not a request.
    wire: bool,
}

impl Client {
    /// Sends the headers of a request and what is given of its body.
    pub(super) fn begin(
        address: SocketAddr,
        seen: &Seen,
        exchange: u32,
        request: &Request,
        chunks: &[Vec<u8>],
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let chunked = !request.whole && !request.ends_with_headers();
        let mut fields = Fields::default();
        fields.add("host", request.host.as_str());
        // Without these, trailers of answers stay where they are (RFC 9110, 6.5.1).
        fields.add("te", "trailers");
        fields.add("connection", "te");
        fields.0.extend(request.framed_headers().0);
        if chunked {
            fields.add("transfer-encoding", "chunked");
        }
        let reader = stream.try_clone()?;
        let (seen, method) = (seen.clone(), request.method.clone());
        std::thread::spawn(move || {
            let end = match read_answer(reader, &seen, exchange, &method) {
                Ok(()) => End::Whole,
                Err(_) => End::Cut,
            };
            seen.with(|seen| seen.answer(exchange).end = end);
        });
        let mut client = Self {
            stream,
            chunked,
            wire: false,
        };
        let start = format!("{} {} HTTP/1.1", request.method, request.path);
        // Whoever answers early may close: the answer says what became of it.
        http1::write_head(&mut client.stream, &start, &fields).ok();
        for chunk in chunks {
            client.chunk(chunk);
        }
        Ok(client)
    }

    /// Connects to a network filter.
    pub(super) fn connect(address: SocketAddr, seen: &Seen, exchange: u32) -> io::Result<Self> {
        Ok(Self {
            stream: wire::connect(address, seen, exchange)?,
            chunked: false,
            wire: true,
        })
    }

    /// Sends more of the body, or on the connection.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        http1::write_part(&mut self.stream, self.chunked, bytes).ok();
    }

    /// Ends the body, or what it sends.
    pub(super) fn end(&mut self, trailers: &Fields) {
        if self.wire {
            self.stream.shutdown(Shutdown::Write).ok();
        } else if self.chunked {
            http1::write_end(&mut self.stream, trailers).ok();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

fn read_answer(stream: TcpStream, seen: &Seen, exchange: u32, method: &str) -> io::Result<()> {
    let mut from = BufReader::new(stream);
    let (status, fields) = loop {
        let head = http1::read_head(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.start.split(' ').nth(1);
        let status: Option<u16> = status.and_then(|it| it.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        if status >= 200 {
            break (status, head.fields);
        }
    };
    let bodiless = method == "HEAD" || matches!(status, 204 | 304);
    let framing = match bodiless {
        true => Framing::None,
        false => http1::framing(&fields, Framing::UntilClose),
    };
    let mut headers = fields;
    headers.remove("transfer-encoding");
    headers.remove("connection");
    seen.with(|seen| {
        let answer = seen.answer(exchange);
        answer.status = Some(status);
        answer.headers = headers;
    });
    let trailers = http1::read_body(&mut from, framing, &mut |part| {
        seen.with(|seen| seen.answer(exchange).body.extend_from_slice(part));
    })?;
    seen.with(|seen| seen.answer(exchange).trailers = trailers);
    Ok(())
}
