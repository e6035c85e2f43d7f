//! The request as a filter has it before it lets it go on.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::address;
use crate::body::{BodyReader, install};
use crate::error::{Error, Result};
use crate::headers::{Headers, HeadersMut};
use crate::runtime::side::{Body, Direction};
use crate::runtime::stream::Stream;

/// A request whose headers, and with them everything, are still held.
///
/// [`Next::run`](crate::next::Next::run) takes it: what has gone on cannot be edited.
#[derive(Debug)]
pub struct Request {
    pub(crate) stream: Rc<Stream>,
}

impl Request {
    pub(crate) const fn new(stream: Rc<Stream>) -> Self {
        Self { stream }
    }

    /// The method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> String {
        self.header(":method").unwrap_or_default()
    }

    /// The path without the query, as the host has normalised it.
    #[must_use]
    pub fn path(&self) -> String {
        let mut target = self.target();
        if let Some(end) = target.find('?') {
            target.truncate(end);
        }
        target
    }

    /// The path with the query.
    #[must_use]
    pub fn target(&self) -> String {
        self.header(":path").unwrap_or_default()
    }

    /// The query without its question mark, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<String> {
        let target = self.target();
        target.split_once('?').map(|(_, query)| String::from(query))
    }

    /// The first value of a parameter of the query, with `%` escapes and `+` decoded.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<String> {
        let query = self.query()?;
        let mut parts = query
            .split('&')
            .map(|part| part.split_once('=').unwrap_or((part, "")));
        let (_, value) = parts.find(|(key, _)| decode(key) == name)?;
        Some(decode(value))
    }

    /// The host that was asked for, with its port if that was said.
    #[must_use]
    pub fn authority(&self) -> String {
        self.header(":authority").unwrap_or_default()
    }

    /// The host that was asked for, in lower case and without a port.
    #[must_use]
    pub fn host(&self) -> String {
        let mut host = self.authority();
        let port = host.rfind(':').filter(|at| !host.ends_with(']') && *at > 0);
        if let Some(at) = port {
            host.truncate(at);
        }
        host.make_ascii_lowercase();
        host
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> String {
        self.header(":scheme").unwrap_or_default()
    }

    /// The first value of a header; see [`Headers::get`].
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().get(name)
    }

    /// The headers, with pseudo-headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.stream, Direction::Request.headers())
    }

    /// The headers, to edit. An edit may make the host choose another route.
    #[must_use]
    pub fn headers_mut(&mut self) -> HeadersMut<'_> {
        HeadersMut::new(&self.stream, Direction::Request.headers())
    }

    /// The value of a cookie, as it came (RFC 6265, 5.4).
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers().get_all("cookie");
        let mut cookies = lines.iter().flat_map(|line| line.split(';'));
        cookies.find_map(|cookie| {
            let (key, value) = cookie.trim().split_once('=')?;
            (key == name).then(|| String::from(value))
        })
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, 2.1).
    #[must_use]
    pub fn bearer(&self) -> Option<String> {
        self.credentials("bearer")
    }

    /// What follows `scheme` in `Authorization`; the scheme is compared without case.
    #[must_use]
    pub fn credentials(&self, scheme: &str) -> Option<String> {
        let value = self.header("authorization")?;
        let (said, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        (said.eq_ignore_ascii_case(scheme) && !rest.is_empty()).then(|| String::from(rest))
    }

    /// The client's address, as the host trusts it.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.stream.focus();
        address::property(b"source\0address")
    }

    /// The client's IP address.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client().map(|it| it.ip())
    }

    /// The id of the exchange, as it is in the log of the host.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        self.header("x-request-id")
    }

    /// Reads the body before the request goes on; without this, it is never held.
    ///
    /// Reading before [`Next::run`](crate::next::Next::run) needs a host that hands out bodies
    /// while headers are held: declare `needs(stop_iteration)`. The other way is
    /// [`Next::pass_headers`](crate::next::Next::pass_headers).
    pub fn body(&mut self) -> BodyReader<'_> {
        BodyReader::new(&self.stream, Direction::Request)
    }

    /// Rewrites the body in parts, as they come: `rewrite` gets each part and whether it was the
    /// last one, which may be empty. It goes on after `next` has returned.
    ///
    /// # Errors
    /// If the body is being rewritten already, or its length cannot be taken off the headers.
    pub fn map_chunks(
        &mut self,
        rewrite: impl FnMut(Vec<u8>, bool) -> Result<Vec<u8>> + 'static,
    ) -> Result<()> {
        install(
            &self.stream,
            Direction::Request,
            Body::Chunks(Box::new(rewrite)),
        )
    }

    /// Rewrites the body once all of it is there, in at most `limit` bytes: a larger one is
    /// answered with 413. The headers go on before.
    ///
    /// # Errors
    /// As [`map_chunks`](Self::map_chunks).
    pub fn map_body(
        &mut self,
        limit: usize,
        rewrite: impl FnOnce(Vec<u8>) -> Result<Vec<u8>> + 'static,
    ) -> Result<()> {
        let rewrite = Some(Box::new(rewrite) as _);
        install(
            &self.stream,
            Direction::Request,
            Body::Whole { limit, rewrite },
        )
    }

    /// Looks at the trailers when they come, if any do.
    pub fn map_trailers(&mut self, look: impl FnOnce(&mut HeadersMut<'_>) -> Result<()> + 'static) {
        *self.stream.request.trailers.borrow_mut() = Some(Box::new(look));
    }

    /// Sets the path, with the query if there is one.
    ///
    /// # Errors
    /// If it does not begin with `/`, or the host refuses it.
    pub fn set_target(&mut self, target: &str) -> Result<()> {
        if !target.starts_with('/') {
            return Err(Error::new(
                ["a path begins with /, not so: ", target].concat(),
            ));
        }
        self.headers_mut().set(":path", target)
    }
}

/// A part of a query, decoded (WHATWG URL, application/x-www-form-urlencoded).
fn decode(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match escape(tail) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = tail.get(2..).unwrap_or_default();
                }
                None => bytes.push(b'%'),
            },
            byte => bytes.push(*byte),
        }
    }
    crate::headers::text(bytes)
}

fn escape(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
    if digits.starts_with('+') {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn parts_of_a_query_are_decoded_and_bad_escapes_stay() {
        assert_eq!(decode("a+b%20c"), "a b c");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%+1%4"), "%zz% 1%4");
        assert_eq!(decode("%C3%A4"), "ä");
    }
}
