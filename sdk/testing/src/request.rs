//! Requests that a test sends.

use serde::Serialize;

use crate::fields::Fields;

/// A request; [`get`], [`post`] and their kin begin one.
#[derive(Debug, Clone)]
#[must_use = "a request is sent by the harness"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<Vec<u8>>,
    pub(crate) trailers: Fields,
    /// The body is announced by its length, and goes out whole.
    pub(crate) whole: bool,
    /// More of the body follows by the exchange's own methods.
    pub(crate) open: bool,
}

/// A request with any method; `path` begins with `/` and may have a query.
pub fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "app.test".to_owned(),
        headers: Fields::default(),
        body: Vec::new(),
        trailers: Fields::default(),
        whole: true,
        open: false,
    }
}

/// A GET.
pub fn get(path: &str) -> Request {
    request("GET", path)
}

/// A HEAD.
pub fn head(path: &str) -> Request {
    request("HEAD", path)
}

/// A POST.
pub fn post(path: &str) -> Request {
    request("POST", path)
}

/// A PUT.
pub fn put(path: &str) -> Request {
    request("PUT", path)
}

/// A DELETE.
pub fn delete(path: &str) -> Request {
    request("DELETE", path)
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value.as_ref());
        self
    }

    /// Adds `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the host that is asked for; `app.test` without it.
    pub fn host(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.host);
        self
    }

    /// Sets the body, which goes out whole with its length.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = vec![body.as_ref().to_vec()];
        self.whole = true;
        self
    }

    /// Sets a body of JSON with its content type.
    pub fn json(self, body: &impl Serialize) -> Self {
        let bytes = crate::json_bytes(body);
        self.header("content-type", "application/json").body(bytes)
    }

    /// Sets the body as chunks, which go out one by one without a length.
    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(|it| it.as_ref().to_vec());
        self.body = chunks.collect();
        self.whole = false;
        self
    }

    /// Adds a trailer; the body goes out without a length then.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.add(name, value.as_ref());
        self.whole = false;
        self
    }

    /// Leaves the body open: it follows by [`Exchange::chunk`](crate::Exchange::chunk) and ends by
    /// [`Exchange::end`](crate::Exchange::end).
    pub fn streaming(mut self) -> Self {
        self.open = true;
        self.whole = false;
        self
    }

    /// Whether the request ends with its headers.
    pub(crate) fn ends_with_headers(&self) -> bool {
        !self.open && self.trailers.is_empty() && self.body.iter().all(Vec::is_empty)
    }

    /// The headers with the length of the body, if it is announced.
    pub(crate) fn framed_headers(&self) -> Fields {
        let mut headers = self.headers.clone();
        if self.whole && !self.body.is_empty() && !headers.has("content-length") {
            let length: usize = self.body.iter().map(Vec::len).sum();
            headers.add("content-length", length.to_string());
        }
        headers
    }
}
