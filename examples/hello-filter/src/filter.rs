//! The filter of one stream: callbacks of the host in, host calls out.
//!
//! Owns the order of host calls. What to do is asked of `json` and `route`. Header
//! values are read as bytes, because they need not be UTF-8 and the text variants of the
//! `proxy-wasm` crate panic on others.

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, Bytes, LogLevel};
use serde_json::Value;

use crate::json;
use crate::plugin::{Settings, count, log};
use crate::route::{Route, is_json};

/// How long `/authorized` may wait for the authorization server.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The filter of one request and its response.
pub(crate) struct Filter {
    settings: Rc<Settings>,
    request_body: Body,
    response_body: Body,
    /// A response of our own comes by as well, and is left as it is.
    answered: bool,
}

/// What happens to a body.
#[derive(PartialEq)]
enum Body {
    Passes,
    /// Held back until its end, then rewritten.
    Rewritten,
}

impl Context for Filter {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, _body: usize, _: usize) {
        // A call that failed may come back without any headers, and then there is no map to read.
        let status = if headers == 0 {
            None
        } else {
            self.get_http_call_response_header_bytes(":status")
        };
        if status.as_deref() != Some(b"200") {
            self.answer(
                401,
                ("content-type", "application/json"),
                b"{\"error\":\"unauthorized\"}",
            );
            return;
        }
        if let Some(user) = self.get_http_call_response_header_bytes("x-user") {
            self.set_http_request_header_bytes("x-auth-user", Some(&user));
        }
        self.resume_http_request();
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        // A metric that cannot be counted is no reason to fail a request.
        hostcalls::increment_metric(self.settings.requests_metric, 1).ok();
        let path = self
            .get_http_request_header_bytes(":path")
            .unwrap_or_default();
        let route = Route::of(&path);
        match route {
            Route::Forbidden => {
                return self.answer(
                    403,
                    ("x-denied-by", "hello-filter"),
                    b"forbidden by hello-filter\n",
                );
            }
            Route::Hello => {
                let text = format!("hello number {}\n", count(self));
                return self.answer(200, ("content-type", "text/plain"), text.as_bytes());
            }
            Route::Authorized | Route::Echo | Route::Other => {}
        }
        self.set_http_request_header("x-hello", Some(&self.settings.config.greeting));
        // Only the authorization server may say who the user is.
        self.remove_http_request_header("x-auth-user");
        if route == Route::Authorized {
            return self.ask();
        }
        let content_type = self.get_http_request_header_bytes("content-type");
        if route == Route::Echo && !end_of_stream && content_type.is_some_and(|it| is_json(&it)) {
            self.remove_http_request_header("content-length");
            self.request_body = Body::Rewritten;
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if self.request_body == Body::Passes {
            return Action::Continue;
        }
        if !end_of_stream {
            return Action::Pause;
        }
        self.rewrite_request_body();
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        // With trailers, no body callback says that it is the last one.
        if self.request_body == Body::Rewritten {
            self.rewrite_request_body();
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        self.set_http_response_header("x-hello-filter", Some("1.0"));
        self.remove_http_response_header("x-powered-by");
        if self.answered || end_of_stream {
            return Action::Continue;
        }
        let content_type = self.get_http_response_header_bytes("content-type");
        let compressed = self
            .get_http_response_header_bytes("content-encoding")
            .is_some();
        if content_type.is_some_and(|it| is_json(&it)) && !compressed {
            self.remove_http_response_header("content-length");
            self.response_body = Body::Rewritten;
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if self.response_body == Body::Passes {
            return Action::Continue;
        }
        if !end_of_stream {
            return Action::Pause;
        }
        self.rewrite_response_body();
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        if self.response_body == Body::Rewritten {
            self.rewrite_response_body();
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        let method = self.get_http_request_header_bytes(":method");
        let path = self.get_http_request_header_bytes(":path");
        let status = self.get_http_response_header_bytes(":status");
        log(
            LogLevel::Info,
            &format!("{} {} {}", text(method), text(path), text(status)),
        );
    }
}

impl Filter {
    /// A filter that has seen nothing yet.
    pub(crate) fn new(settings: Rc<Settings>) -> Self {
        Self {
            settings,
            request_body: Body::Passes,
            response_body: Body::Passes,
            answered: false,
        }
    }

    /// Answers in place of the origin.
    fn answer(&mut self, status: u32, header: (&str, &str), body: &[u8]) -> Action {
        self.answered = true;
        self.send_http_response(status, vec![header], Some(body));
        Action::Pause
    }

    /// Asks the authorization server; the request waits for `on_http_call_response`.
    fn ask(&mut self) -> Action {
        let credentials = self.get_http_request_header_bytes("authorization");
        let credentials = credentials.and_then(|bytes| String::from_utf8(bytes).ok());
        let config = &self.settings.config;
        let mut headers = vec![
            (":method", "GET"),
            (":path", "/check"),
            (":authority", config.authority.as_str()),
        ];
        if let Some(credentials) = &credentials {
            headers.push(("authorization", credentials));
        }
        let sent = self.dispatch_http_call(&config.backend, headers, None, vec![], CHECK_TIMEOUT);
        if sent.is_ok() {
            return Action::Pause;
        }
        log(
            LogLevel::Warn,
            &format!(
                "backend {:?} cannot be called",
                self.settings.config.backend
            ),
        );
        self.answer(
            503,
            ("content-type", "text/plain"),
            b"authorization is not available\n",
        )
    }

    fn rewrite_request_body(&mut self) {
        self.request_body = Body::Passes;
        let body = self
            .get_http_request_body(0, usize::MAX)
            .unwrap_or_default();
        let value = Value::String("hello-filter".into());
        if let Some(changed) = json::with_member(&body, "seen_by", &value) {
            self.set_http_request_body(0, body.len(), &changed);
        }
    }

    fn rewrite_response_body(&mut self) {
        self.response_body = Body::Passes;
        let body = self
            .get_http_response_body(0, usize::MAX)
            .unwrap_or_default();
        if let Some(changed) = json::with_member(&body, "filtered", &Value::Bool(true)) {
            self.set_http_response_body(0, body.len(), &changed);
        }
    }
}

/// A header value for the log; `-` stands for none.
fn text(value: Option<Bytes>) -> String {
    value.map_or_else(
        || "-".into(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
