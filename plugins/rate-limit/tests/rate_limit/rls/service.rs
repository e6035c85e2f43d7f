//! The messages of Envoy's rate limit service, read and written apart from the filter, so that no mistake
//! is made twice.

use tidegate_sdk_testing::{Received, Reply};

/// What a service was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) domain: String,
    pub(crate) descriptors: Vec<Descriptor>,
    /// The hits of the request if it says how many.
    pub(crate) hits: Option<u64>,
}

/// A descriptor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) entries: Vec<(String, String)>,
    /// The hits of this one if it says how many.
    pub(crate) hits: Option<u64>,
}

impl Asked {
    /// What a call asks.
    pub(crate) fn of(call: &Received) -> Self {
        Self::read(call.message()).expect("a RateLimitRequest without any other field")
    }

    fn read(message: &[u8]) -> Option<Self> {
        let mut asked = Self::default();
        for field in fields(message)? {
            match field {
                (1, Field::Bytes(domain)) => asked.domain = text(domain)?,
                (2, Field::Bytes(message)) => asked.descriptors.push(descriptor(&message)?),
                (3, Field::Number(hits)) => asked.hits = Some(hits),
                _ => return None,
            }
        }
        Some(asked)
    }

    /// The descriptors in one line each: `key=value key=value`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |descriptor: &Descriptor| {
            let entries = descriptor.entries.iter();
            let pairs = entries.map(|(key, value)| format!("{key}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        self.descriptors.iter().map(line).collect()
    }
}

fn descriptor(message: &[u8]) -> Option<Descriptor> {
    let mut descriptor = Descriptor::default();
    for field in fields(message)? {
        match field {
            (1, Field::Bytes(entry)) => descriptor.entries.push(read_entry(&entry)?),
            (3, Field::Bytes(value)) => match fields(&value)?[..] {
                [] => descriptor.hits = Some(0),
                [(1, Field::Number(hits))] => descriptor.hits = Some(hits),
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(descriptor)
}

/// A key with its value; an empty value is not written.
fn read_entry(message: &[u8]) -> Option<(String, String)> {
    let mut entry = (String::new(), String::new());
    for field in fields(message)? {
        match field {
            (1, Field::Bytes(key)) => entry.0 = text(key)?,
            (2, Field::Bytes(value)) => entry.1 = text(value)?,
            _ => return None,
        }
    }
    Some(entry)
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

fn fields(mut message: &[u8]) -> Option<Vec<(u64, Field)>> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message)?;
        let field = match key & 7 {
            0 => Field::Number(number(&mut message)?),
            2 => {
                let length = usize::try_from(number(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Field::Bytes(bytes.to_vec())
            }
            _ => return None,
        };
        all.push((key >> 3, field));
    }
    Some(all)
}

fn number(message: &mut &[u8]) -> Option<u64> {
    let length = 1 + message.iter().take_while(|it| **it >= 0x80).count();
    let (digits, rest) = message.split_at_checked(length)?;
    *message = rest;
    let digits = digits.iter().rev();
    Some(digits.fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f)))
}

/// An answer of the service.
#[derive(Debug, Clone)]
pub(crate) struct Answer(Vec<u8>);

pub(crate) const OK: u64 = 1;
pub(crate) const OVER_LIMIT: u64 = 2;

/// A limit as a service tells it: how many in which unit, by which name.
pub(crate) type Limit<'a> = (u64, u64, &'a str);

impl Answer {
    /// An answer with this overall code.
    pub(crate) fn new(code: u64) -> Self {
        let mut message = Vec::new();
        put_number(&mut message, 1, code);
        Self(message)
    }

    /// The status of one more descriptor: its code, its limit, what remains and when it begins anew.
    pub(crate) fn status(
        mut self,
        code: u64,
        limit: Option<Limit<'_>>,
        remaining: u64,
        reset: u64,
    ) -> Self {
        let mut status = Vec::new();
        put_number(&mut status, 1, code);
        if let Some((requests, unit, name)) = limit {
            let mut limit = Vec::new();
            put_number(&mut limit, 1, requests);
            put_number(&mut limit, 2, unit);
            put(&mut limit, 3, name.as_bytes());
            put(&mut status, 2, &limit);
        }
        put_number(&mut status, 3, remaining);
        let mut duration = Vec::new();
        put_number(&mut duration, 1, reset);
        put(&mut status, 4, &duration);
        put(&mut self.0, 2, &status);
        self
    }

    /// A header for the client.
    pub(crate) fn for_client(self, name: &str, value: &str) -> Self {
        self.header(3, name, value)
    }

    /// A header for the application.
    pub(crate) fn for_backend(self, name: &str, value: &str) -> Self {
        self.header(4, name, value)
    }

    fn header(mut self, field: u64, name: &str, value: &str) -> Self {
        let mut header = Vec::new();
        put(&mut header, 1, name.as_bytes());
        put(&mut header, 2, value.as_bytes());
        put(&mut self.0, field, &header);
        self
    }

    /// The body of a refusal.
    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        put(&mut self.0, 5, body);
        self
    }

    /// As a reply.
    pub(crate) fn reply(&self) -> Reply {
        Reply::grpc(&self.0)
    }
}

fn put(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    push(out, field << 3 | 2);
    push(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    push(out, field << 3);
    push(out, number);
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}
