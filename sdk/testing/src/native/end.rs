//! Both ends of an exchange: the application, the client, and answers that are made between them.

use tidegate_sdk_sys::{LogLevel, Pairs};

use crate::answer::End;
use crate::driver::Driver as _;
use crate::fields::text;
use crate::native::calls::status;
use crate::native::state::{Hold, Item, Local, ROOT, Side, Way, fields, find, pairs};
use crate::native::{Event, Native, PATIENCE};
use crate::reply::{Course, Received, Reply};

/// Whoever closes a connection is the other side to the host (`proxy_peer_type_t`).
const PEER: u32 = 2;

impl Native {
    /// Lets headers go on to whoever is next, unless they have.
    pub(super) fn forward_headers(&mut self, context: u32, way: Way, end: bool) {
        let headers = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            if std::mem::replace(&mut side.forwarded, true) {
                return None;
            }
            side.announced = fields(&side.headers).length().filter(|_| !end);
            Some((stream.exchange, stream.side(way).headers.clone()))
        });
        let Some((exchange, headers)) = headers.flatten() else {
            return;
        };
        match way {
            Way::Request if self.plan.network => self.server_connects(context),
            Way::Response if self.plan.network => {}
            Way::Request => return self.begin_attempt(context, end),
            Way::Response => self.seen.with(|seen| {
                let answer = seen.answer(exchange);
                let code = find(&headers, b":status").map(text);
                answer.status = code.and_then(|it| it.parse().ok());
                answer.headers = fields(&headers);
            }),
        }
        if end {
            self.finish_side(context, way);
        }
    }

    pub(super) fn forward_data(&mut self, context: u32, way: Way, bytes: &[u8], end: bool) {
        let place = self.with_stream(context, |stream| {
            stream.side_mut(way).passed += bytes.len();
            (stream.exchange, stream.app)
        });
        let Some((exchange, app)) = place else {
            return;
        };
        let network = self.plan.network;
        self.seen.with(|seen| match way {
            Way::Request if network => {
                if let Some(known) = app.and_then(|at| seen.connections.get_mut(at)) {
                    known.extend_from_slice(bytes);
                }
            }
            Way::Request => {
                if let Some(request) = app.and_then(|at| seen.app.get_mut(at)) {
                    request.body.extend_from_slice(bytes);
                }
            }
            Way::Response => seen.answer(exchange).body.extend_from_slice(bytes),
        });
        if network && way == Way::Request && !bytes.is_empty() {
            self.server_gets(context, bytes);
        }
        if end {
            self.finish_side(context, way);
        }
    }

    pub(super) fn forward_trailers(&mut self, context: u32, way: Way, trailers: &Pairs) {
        let place = self.with_stream(context, |stream| (stream.exchange, stream.app));
        let Some((exchange, app)) = place else {
            return;
        };
        let trailers = fields(trailers);
        self.seen.with(|seen| match way {
            Way::Request => {
                if let Some(request) = app.and_then(|at| seen.app.get_mut(at)) {
                    request.trailers = trailers;
                }
            }
            Way::Response => seen.answer(exchange).trailers = trailers,
        });
        self.finish_side(context, way);
    }

    /// All of one direction has gone on.
    pub(super) fn finish_side(&mut self, context: u32, way: Way) {
        let lengths = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            if std::mem::replace(&mut side.finished, true) {
                return None;
            }
            Some((side.announced, side.passed, stream.exchange))
        });
        let Some((announced, passed, exchange)) = lengths.flatten() else {
            return;
        };
        if let Some(announced) = announced.filter(|it| *it != passed) {
            let line = format!("content-length is {announced}, the body has {passed} bytes");
            self.world.state().host_says(LogLevel::Error, line);
            match way {
                Way::Request => self.host_answers(context, 500),
                Way::Response => self.cut(context),
            }
            return;
        }
        match way {
            Way::Request if self.plan.network => self.server_says(context, &[], true),
            Way::Request => self.app_has_all(context),
            Way::Response => {
                self.seen
                    .with(|seen| seen.answer(exchange).end = End::Whole);
                self.finish(context);
            }
        }
    }

    pub(super) fn app_gets_headers(&mut self, context: u32, headers: &Pairs) {
        let side = Side {
            headers: headers.clone(),
            ..Side::default()
        };
        let request = Received {
            method: side.text(":method"),
            path: side.text(":path"),
            host: side.text(":authority"),
            headers: fields(headers),
            body: Vec::new(),
            trailers: crate::Fields::default(),
            ended: false,
        };
        let at = self.seen.with(|seen| {
            seen.app.push(request.clone());
            seen.app.len() - 1
        });
        self.with_stream(context, |stream| stream.app = Some(at));
        if self.plan.backends.app_is_early() {
            self.ask_app(context, &request);
        }
    }

    fn app_has_all(&mut self, context: u32) {
        let Some(Some(at)) = self.with_stream(context, |stream| stream.app) else {
            return;
        };
        let request = self.seen.with(|seen| {
            let request = seen.app.get_mut(at)?;
            request.ended = true;
            Some(request.clone())
        });
        let early = self.with_stream(context, |stream| stream.early.take());
        if let Some(Some(reply)) = early {
            self.end_answer(context, &reply);
        } else if let Some(request) = request
            && !self.plan.backends.app_is_early()
        {
            self.ask_app(context, &request);
        }
    }

    fn ask_app(&mut self, context: u32, request: &Received) {
        let reply = self.plan.backends.app(request);
        let after = super::nanoseconds(reply.after);
        self.plan_event(after, Event::AppAnswers { context, reply });
    }

    /// The application's answer arrives.
    pub(super) fn app_answers(&mut self, context: u32, reply: Reply) {
        let wanted = self.with_stream(context, |stream| {
            (!stream.replied).then(|| (stream.request.text(":method"), stream.request.finished))
        });
        let Some((method, request_ended)) = wanted.flatten() else {
            return;
        };
        match reply.course {
            Course::Never => return,
            Course::Reset => return self.host_answers(context, 502),
            Course::Whole | Course::Cut => {}
        }
        let end = reply.ends_with_headers(&method);
        self.with_stream(context, |stream| {
            let side = &mut stream.response;
            side.headers = status(reply.status);
            side.headers.extend(pairs(&reply.framed_headers()));
            side.incoming.push_back(Item::Headers { end });
            if !end {
                let chunks = reply.body.iter().filter(|it| !it.is_empty());
                for bytes in chunks.cloned() {
                    side.incoming.push_back(Item::Data { bytes, end: false });
                }
            }
        });
        if end {
            return;
        }
        if request_ended {
            self.end_answer(context, &reply);
        } else {
            self.with_stream(context, |stream| stream.early = Some(reply));
        }
    }

    fn end_answer(&mut self, context: u32, reply: &Reply) {
        self.with_stream(context, |stream| {
            let incoming = &mut stream.response.incoming;
            if reply.course == Course::Cut {
                incoming.push_back(Item::Cut);
            } else if !reply.trailers.is_empty() {
                incoming.push_back(Item::Trailers(pairs(&reply.trailers)));
            } else if let Some(Item::Data { end, .. }) = incoming.back_mut() {
                *end = true;
            } else {
                let bytes = Vec::new();
                incoming.push_back(Item::Data { bytes, end: true });
            }
        });
    }

    /// A sender went away in the middle of its message.
    pub(super) fn sender_left(&mut self, context: u32, way: Way) {
        let begun = self.with_stream(context, |stream| stream.response.forwarded);
        match (way, begun) {
            (Way::Response, Some(false)) => self.host_answers(context, 502),
            _ => self.cut(context),
        }
    }

    /// The host answers, and the filter sees it.
    pub(super) fn host_answers(&mut self, context: u32, status: u16) {
        let local = Local {
            status,
            headers: Pairs::new(),
            body: format!("{status}\n").into_bytes(),
            grpc_status: None,
        };
        self.answer_here(context, local);
    }

    /// Answers in the place of the application. The filter sees the answer if it has seen none.
    pub(super) fn answer_here(&mut self, context: u32, local: Local) {
        let progress = self.with_stream(context, |stream| {
            stream.replied = true;
            stream.request.incoming.clear();
            stream.request.hold = Hold::No;
            stream.early = None;
            let is_grpc = stream
                .request
                .text("content-type")
                .starts_with("application/grpc");
            let seen = (stream.response.begun, stream.response.forwarded);
            (stream.exchange, is_grpc, seen)
        });
        let Some((exchange, is_grpc, (begun, forwarded))) = progress else {
            return;
        };
        if forwarded {
            self.cut(context);
            return;
        }
        let (headers, body) = message(local, is_grpc);
        if begun {
            self.seen.with(|seen| {
                let answer = seen.answer(exchange);
                let code = find(&headers, b":status").map(text);
                answer.status = code.and_then(|it| it.parse().ok());
                answer.headers = fields(&headers);
                answer.body = body;
                answer.end = End::Whole;
            });
            self.finish(context);
            return;
        }
        self.with_stream(context, |stream| {
            let side = &mut stream.response;
            side.headers = headers;
            side.incoming.clear();
            let end = body.is_empty();
            side.incoming.push_back(Item::Headers { end });
            if !end {
                side.incoming.push_back(Item::Data { bytes: body, end });
            }
            if let Some(Item::Data { end, .. }) = side.incoming.back_mut() {
                *end = true;
            }
        });
    }

    /// Ends an exchange without an answer, or in the middle of it.
    pub(super) fn cut(&mut self, context: u32) {
        let exchange = self.with_stream(context, |stream| stream.exchange);
        if let Some(exchange) = exchange {
            self.seen.with(|seen| {
                let answer = seen.answer(exchange);
                if answer.end == End::Pending {
                    answer.end = End::Cut;
                }
            });
        }
        self.finish(context);
    }

    /// The last callbacks of a stream.
    fn finish(&mut self, context: u32) {
        let known = self.with_stream(context, |stream| !std::mem::replace(&mut stream.over, true));
        if known != Some(true) {
            return;
        }
        if self.plan.network {
            self.call(context, |guest| guest.on_downstream_close(context, PEER));
        }
        self.call(context, |guest| guest.on_done(context));
        if self.with_stream(context, |_| ()).is_some() {
            self.call(context, |guest| guest.on_log(context));
        }
        if self.with_stream(context, |_| ()).is_some() {
            self.call(context, |guest| guest.on_delete(context));
        }
        self.world.state().streams.remove(&context);
    }

    /// Ends the plugin, and says what is left of it that should not be.
    pub(super) fn end_plugin(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let contexts: Vec<u32> = self.world.state().streams.keys().copied().collect();
        for context in contexts {
            self.cut(context);
        }
        self.settle();
        let name = self.plan.name;
        let (streams, _) = self.guest.live();
        if streams > 0 {
            return Err(format!(
                "{name} leaks: {streams} streams are left after all exchanges have ended"
            ));
        }
        // A setup that failed is tried again for ever where the host does not refuse the plugin.
        let allowed = self.plan.background + usize::from(!self.plan.tidegate);
        let patience = self.now() + PATIENCE;
        while self.guest.live().1 > allowed {
            match self.next_moment().filter(|next| *next <= patience) {
                Some(next) => self.world.state().now = next,
                None => break,
            }
            self.settle();
        }
        let (_, tasks) = self.guest.live();
        if tasks > allowed {
            return Err(format!(
                "{name} leaks: {} background tasks do not end within 10 minutes after the last \
                 exchange (`endless_tasks` says how many are meant to)",
                tasks - allowed
            ));
        }
        self.call(ROOT, |guest| guest.on_done(ROOT));
        self.call(ROOT, |guest| guest.on_delete(ROOT));
        match self.guest.live() {
            (0, 0) => Ok(()),
            (streams, tasks) => Err(format!(
                "{name} leaks: {streams} streams and {tasks} tasks are left after its end"
            )),
        }
    }
}

/// The headers and the body of an answer made here.
fn message(local: Local, is_grpc: bool) -> (Pairs, Vec<u8>) {
    let Local {
        status: code,
        headers: given,
        body,
        grpc_status,
    } = local;
    let pair = |name: &str, value: Vec<u8>| (name.as_bytes().to_vec(), value);
    let mut headers = status(if is_grpc { 200 } else { code });
    let ours: [&[u8]; 4] = [
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"upgrade",
    ];
    let given = given.into_iter();
    headers.extend(
        given.filter(|(name, _)| !name.starts_with(b":") && !ours.contains(&name.as_slice())),
    );
    if is_grpc {
        let grpc = grpc_status.unwrap_or_else(|| grpc_status_of(code));
        headers.retain(|(name, _)| name != b"content-type");
        headers.push(pair("content-type", b"application/grpc".to_vec()));
        headers.push(pair("grpc-status", grpc.to_string().into_bytes()));
        headers.push(pair("grpc-message", body));
        return (headers, Vec::new());
    }
    if !body.is_empty() && find(&headers, b"content-type").is_none() {
        headers.push(pair("content-type", b"text/plain".to_vec()));
    }
    headers.push(pair("content-length", body.len().to_string().into_bytes()));
    (headers, body)
}

/// The status of gRPC that a status of HTTP stands for (gRPC, "HTTP to gRPC Status Code Mapping").
const fn grpc_status_of(code: u16) -> u32 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
