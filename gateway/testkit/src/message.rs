//! HTTP/1 messages as tests see them: parsed plainly, bytes kept.

use std::io;
use std::io::Read;

/// A message off the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The request or status line.
    pub start: String,
    /// Fields in order, names as they were written.
    pub fields: Vec<(String, String)>,
    /// The body without framing.
    pub body: Vec<u8>,
    /// Trailers in order.
    pub trailers: Vec<(String, String)>,
    /// Every byte of the message.
    pub raw: Vec<u8>,
}

/// How to know the end of a body that says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// There is none: requests, answers to HEAD.
    Nothing,
    /// It ends with the connection.
    UntilClose,
}

impl Message {
    /// The status of a response.
    ///
    /// # Panics
    ///
    /// If the start line has none.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let status = self
            .start
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.start))
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let fields = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads messages off a stream, byte-exact.
#[derive(Debug)]
pub struct MessageReader<R> {
    stream: R,
    buffered: Vec<u8>,
}

impl<R: Read> MessageReader<R> {
    /// A reader that has read nothing yet.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            buffered: Vec::new(),
        }
    }

    /// The stream; what was read ahead is lost.
    pub fn into_stream(self) -> R {
        self.stream
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// Bytes that were read and belong to no message yet.
    pub fn buffered(&self) -> &[u8] {
        &self.buffered
    }

    /// The head of the next message: everything up to the empty line.
    ///
    /// # Errors
    ///
    /// The stream's; an end before the first byte or within the head is `UnexpectedEof`.
    pub fn head(&mut self) -> io::Result<Message> {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n\r\n") {
            raw.push(self.byte()?);
        }
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(parse_field).collect();
        Ok(Message {
            start,
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
            raw,
        })
    }

    /// The next message with its body.
    ///
    /// # Errors
    ///
    /// The stream's; a body that ends early is `UnexpectedEof`.
    pub fn message(&mut self, without: Without) -> io::Result<Message> {
        let mut message = self.head()?;
        self.body(&mut message, without)?;
        Ok(message)
    }

    /// Reads the body of a message whose head was read.
    ///
    /// # Errors
    ///
    /// The stream's; a body that ends early is `UnexpectedEof`.
    pub fn body(&mut self, message: &mut Message, without: Without) -> io::Result<()> {
        if message.field("transfer-encoding").is_some() {
            return self.chunks(message);
        }
        let length = message
            .field("content-length")
            .and_then(|length| length.parse().ok());
        match (length, without) {
            (Some(length), _) => {
                let from = message.raw.len();
                self.exactly(length, &mut message.raw)?;
                message.body.extend_from_slice(&message.raw[from..]);
                Ok(())
            }
            (None, Without::Nothing) => Ok(()),
            (None, Without::UntilClose) => {
                let from = message.raw.len();
                message.raw.append(&mut self.buffered);
                self.stream.read_to_end(&mut message.raw)?;
                message.body.extend_from_slice(&message.raw[from..]);
                Ok(())
            }
        }
    }

    fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        loop {
            let line = self.line(&mut message.raw)?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| io::Error::other(format!("bad chunk size {line:?}")))?;
            if size == 0 {
                break;
            }
            let from = message.raw.len();
            self.exactly(size, &mut message.raw)?;
            message.body.extend_from_slice(&message.raw[from..]);
            let end = self.line(&mut message.raw)?;
            if !end.is_empty() {
                return Err(io::Error::other(format!("{end:?} after a chunk")));
            }
        }
        loop {
            let line = self.line(&mut message.raw)?;
            match parse_field(&line) {
                Some(field) => message.trailers.push(field),
                None => return Ok(()),
            }
        }
    }

    fn line(&mut self, raw: &mut Vec<u8>) -> io::Result<String> {
        let from = raw.len();
        while !raw[from..].ends_with(b"\r\n") {
            let byte = self.byte()?;
            raw.push(byte);
        }
        Ok(String::from_utf8_lossy(&raw[from..raw.len() - 2]).into_owned())
    }

    pub(crate) fn exactly(&mut self, count: usize, raw: &mut Vec<u8>) -> io::Result<()> {
        let held = count.min(self.buffered.len());
        raw.extend(self.buffered.drain(..held));
        let from = raw.len();
        raw.resize(from + count - held, 0);
        self.stream.read_exact(&mut raw[from..])
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.buffered.is_empty() {
            let mut more = vec![0; 16 * 1024];
            let count = self.stream.read(&mut more)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffered.extend_from_slice(&more[..count]);
        }
        Ok(self.buffered.remove(0))
    }
}

fn parse_field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}
