//! The request on its way to the origin, and the wait for the answer.
//!
//! Owns attempts, the request body beside an early answer, and the return of connections to the
//! pool. Both directions run in the client connection's own task: nothing is spawned or sent
//! between tasks.

use std::cell::Cell;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::filter::Filter;
use tidegate_core::framing::BodyLength;
use tidegate_core::framing::response_framing;
use tidegate_core::hop_by_hop;
use tidegate_core::message::RequestHead;
use tidegate_core::message::ResponseHead;
use tidegate_core::message::Version;
use tidegate_core::retry::Attempt;
use tidegate_core::retry::may_resend;
use tidegate_core::route::Rule;
use tidegate_host_abi::Side;

use crate::downstream::Downstream;
use crate::exchange::Next;
use crate::exchange::late;
use crate::exchange::local::Answer;
use crate::exchange::mirror::Copy;
use crate::exchange::mirror::Original;
use crate::exchange::native;
use crate::exchange::pump::PendingHead;
use crate::exchange::pump::Pump;
use crate::exchange::pump::PumpEnd;
use crate::exchange::pump::Source;
use crate::exchange::request::Admission;
use crate::exchange::respond::Client;
use crate::exchange::respond::Respond;
use crate::exchange::state::Phase;
use crate::filters::run::FilterRun;
use crate::filters::run::Stop;
use crate::http1::body::BodyReader;
use crate::http1::encode;
use crate::http1::head::ParsedResponse;
use crate::http1::reader::Reader;
use crate::http1::writer::Writer;
use crate::upstream;
use crate::upstream::ConnectError;
use crate::upstream::Freshness;
use crate::upstream::UpstreamConnection;
use crate::upstream::balance::BackendState;
use crate::worker::Door;

/// A request that filters let through.
pub(crate) struct Forward<'a> {
    pub(crate) run: FilterRun<'a>,
    pub(crate) client: &'a Client,
    pub(crate) admission: Admission<'a>,
    pub(crate) door: &'a Door,
    pub(crate) backend: Rc<BackendState>,
    pub(crate) length: BodyLength,
    /// How long one attempt may take, if that is limited.
    pub(crate) attempt_limit: Option<Duration>,
    /// Copies for mirrors; made when the head is first sent, and never twice.
    pub(crate) copies: RefCell<Option<Vec<Copy>>>,
    pub(crate) expects_continue: bool,
    /// An interim response has come: the origin works on the request.
    pub(crate) answered: Cell<bool>,
}

/// How one attempt ended.
enum Attempted {
    /// The client has its answer.
    Answered(Next),
    /// The kept connection was dead; a new one may do.
    Stale,
    /// There is no answer from the origin.
    Stopped(Stop),
}

impl Forward<'_> {
    /// Sends the request, and the answer back.
    pub(crate) async fn drive(self, down: &mut Downstream, body: &mut BodyReader) -> Next {
        let respond = Respond {
            run: self.run,
            client: self.client,
            door: self.door,
        };
        if self.expects_continue && !body.is_done() && down.reader.buf.is_empty() {
            // Filters have let the head pass: now the body is wanted (RFC 9110 §10.1.1).
            down.writer
                .out
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            if down
                .writer
                .flush(self.run.timeouts.write_stall)
                .await
                .is_err()
            {
                let answer = Answer::failure(Failure::ClientClosed);
                return respond.local(down, body, answer).await;
            }
        }
        let mut freshness = Freshness::Any;
        loop {
            let attempted = self.attempt_in_time(down, body, freshness).await;
            match attempted {
                Attempted::Answered(next) => return next,
                Attempted::Stale => freshness = Freshness::New,
                Attempted::Stopped(stop) => {
                    let answer = Answer::of(stop, self.run.stream);
                    return respond.local(down, body, answer).await;
                }
            }
        }
    }

    async fn attempt_in_time(
        &self,
        down: &mut Downstream,
        body: &mut BodyReader,
        freshness: Freshness,
    ) -> Attempted {
        let Some(limit) = self.attempt_limit else {
            return self.attempt(down, body, freshness).await;
        };
        let before = down.writer.written();
        let mark = down.writer.out.len();
        let attempt = self.attempt(down, body, freshness);
        if let Ok(attempted) = tokio::time::timeout(limit, attempt).await {
            return attempted;
        }
        let failure = Failure::BackendRequestTimeout;
        match late(self.run.stream, self.client, &down.writer, before, failure) {
            Some(next) => Attempted::Answered(next),
            None => {
                down.writer.forget_after(mark);
                Attempted::Stopped(failure.into())
            }
        }
    }

    async fn attempt(
        &self,
        down: &mut Downstream,
        body: &mut BodyReader,
        freshness: Freshness,
    ) -> Attempted {
        let connecting = upstream::connect(self.run.worker, &self.backend, freshness);
        let mut connection = match connecting.await {
            Ok(connection) => connection,
            Err(ConnectError { failure, endpoint }) => {
                let mut state = self.run.stream.state();
                state.facts.endpoint = endpoint;
                state.facts.attempts += u32::from(endpoint.is_some());
                return Attempted::Stopped(failure.into());
            }
        };
        {
            let mut state = self.run.stream.state();
            state.facts.endpoint = Some(connection.endpoint);
            state.facts.attempts += 1;
        }
        let before = down.writer.written();
        let attempted = self.on_connection(&mut connection, down, body).await;
        self.run.stream.state().facts.sent += down.writer.written() - before;
        match attempted {
            Ok((next, Reuse::Yes)) => {
                self.run.worker.pool.keep(connection);
                Attempted::Answered(next)
            }
            Ok((next, Reuse::No)) => Attempted::Answered(next),
            Err(stop) => {
                let attempt = Attempt {
                    reused: connection.reused,
                    answered: self.answered.get() || !connection.reader.buf.is_empty(),
                    body_started: body.received() > 0,
                };
                let method = self.run.stream.state().request.method.clone();
                let reset = stop == Stop::Failure(Failure::UpstreamReset);
                if reset && freshness == Freshness::Any && may_resend(&method, attempt) {
                    self.run.stream.state().phase = Phase::RequestHeaders;
                    return Attempted::Stale;
                }
                Attempted::Stopped(stop)
            }
        }
    }

    async fn on_connection(
        &self,
        connection: &mut UpstreamConnection,
        down: &mut Downstream,
        body: &mut BodyReader,
    ) -> Result<(Next, Reuse), Stop> {
        let UpstreamConnection {
            reader: up_reader,
            writer: up_writer,
            ..
        } = connection;
        let Downstream { reader, writer, .. } = down;
        if self.length == BodyLength::Empty {
            let upload = sent(self.upload(Source::Ready(None), up_writer).run().await)?;
            return self.answer(upload, up_reader, reader, writer).await;
        }
        let upload = {
            let source = Source::Socket {
                reader: &mut *reader,
                body: &mut *body,
            };
            let mut upload = Box::pin(self.upload(source, up_writer).run());
            let early = {
                let mut answer = pin!(self.head_or_interim(up_reader, writer));
                tokio::select! {
                    biased;
                    uploaded = &mut upload => Err(sent(uploaded)?),
                    parsed = &mut answer => Ok(parsed?),
                }
            };
            match early {
                Ok(parsed) => {
                    if self.run.stream.state().phase < Phase::RequestSent {
                        // It answers what it was not asked.
                        return Err(Failure::UpstreamProtocol.into());
                    }
                    return self
                        .relay_beside(&mut upload, parsed, up_reader, writer)
                        .await;
                }
                Err(upload) => upload,
            }
        };
        self.answer(upload, up_reader, reader, writer).await
    }

    /// Waits for the answer to a request that was sent, and passes it on. A client that goes away
    /// meanwhile is noticed at once.
    async fn answer(
        &self,
        upload: Upload,
        up_reader: &mut Reader,
        reader: &mut Reader,
        writer: &mut Writer,
    ) -> Result<(Next, Reuse), Stop> {
        let parsed = self.wait_for_head(up_reader, reader, writer).await?;
        let keep = self.run.sizes.head_bytes;
        let (next, reuse) = tokio::select! {
            biased;
            relayed = self.relay(parsed, up_reader, writer) => relayed?,
            _ = reader.gone(keep) => {
                let verdict = Failure::ClientClosed.verdict();
                let mut state = self.run.stream.state();
                state.facts.flag = verdict.flag;
                if state.phase < Phase::ResponseSent {
                    state.response.status = verdict.status;
                }
                (Next::Abort, Reuse::No)
            }
        };
        Ok((
            next,
            if upload == Upload::Whole {
                reuse
            } else {
                Reuse::No
            },
        ))
    }

    /// The request on its way to the origin.
    fn upload<'s>(&'s self, source: Source<'s>, sink: &'s mut Writer) -> Pump<'s, SentRequest<'s>> {
        let head = SentRequest { forward: self };
        Pump::new(self.run, Side::Request, source, self.length, sink, head)
    }

    /// Starts the copies that the rule asks for, of a head as it leaves.
    fn mirror(&self, head: &RequestHead, length: BodyLength, rule: &Rule) {
        let mut copies = self.copies.borrow_mut();
        if copies.is_some() {
            return; // Another attempt of the same request.
        }
        let Admission {
            worker,
            generation,
            draw,
            ..
        } = self.admission;
        let mirrors = rule.filters.iter().filter_map(|filter| match filter {
            Filter::Mirror(mirror) if mirror.takes(draw) => mirror.backend,
            _ => None,
        });
        let started = mirrors.filter_map(|backend| {
            let backend = generation.backend(backend, &worker.backends)?;
            let original = Original {
                head: head.clone(),
                length,
                timeouts: *self.run.timeouts,
                held_limit: self.run.sizes.buffered_body_bytes,
            };
            Copy::start(worker, Rc::clone(backend), original)
        });
        *copies = Some(started.collect());
    }

    /// Answers while the request body is still on its way.
    async fn relay_beside(
        &self,
        upload: &mut (impl Future<Output = Result<(), PumpEnd>> + Unpin),
        parsed: ParsedResponse,
        up_reader: &mut Reader,
        writer: &mut Writer,
    ) -> Result<(Next, Reuse), Stop> {
        let mut relay = pin!(self.relay(parsed, up_reader, writer));
        tokio::select! {
            biased;
            relayed = &mut relay => relayed.map(|(next, _)| (next, Reuse::No)),
            uploaded = upload => match uploaded {
                Ok(()) => relay.await,
                Err(PumpEnd::Sink(_)) => relay.await.map(|(next, _)| (next, Reuse::No)),
                Err(PumpEnd::Stop(stop)) => {
                    let sent = self.run.stream.state().phase >= Phase::ResponseSent;
                    if !sent {
                        return Err(stop);
                    }
                    if let Stop::Failure(failure) = stop {
                        self.run.stream.state().facts.flag = failure.verdict().flag;
                    }
                    Ok((Next::Abort, Reuse::No))
                }
            },
        }
    }

    /// Waits for the answer, and notices if the client goes away or a filter answers first.
    async fn wait_for_head(
        &self,
        up_reader: &mut Reader,
        reader: &mut Reader,
        writer: &mut Writer,
    ) -> Result<ParsedResponse, Stop> {
        let keep = self.run.sizes.head_bytes;
        let stopped = std::future::poll_fn(|cx| self.run.poll_stop(cx));
        tokio::select! {
            biased;
            parsed = self.head_or_interim(up_reader, writer) => parsed,
            stop = stopped => Err(stop),
            _ = reader.gone(keep) => Err(Failure::ClientClosed.into()),
        }
    }

    /// The final response head; interim ones are passed on (RFC 9110 §15.2).
    async fn head_or_interim(
        &self,
        up_reader: &mut Reader,
        writer: &mut Writer,
    ) -> Result<ParsedResponse, Stop> {
        let timeouts = self.run.timeouts;
        loop {
            let parsed = up_reader
                .response_head(self.run.sizes, timeouts.stream_idle)
                .await?;
            if !parsed.status.is_informational() {
                return Ok(parsed);
            }
            self.answered.set(true);
            let mut headers = parsed.headers;
            match parsed.status.as_u16() {
                // Nobody asked the origin to switch.
                101 => return Err(Failure::UpstreamProtocol.into()),
                // We have answered the client's expectation ourselves.
                100 => continue,
                _ if self.client.version == Version::Http10 => continue,
                _ => {}
            }
            hop_by_hop::strip(&mut headers);
            headers.remove(http::header::TRANSFER_ENCODING);
            encode::interim_response(&mut writer.out, parsed.status, &headers);
            let flushed = writer.flush(timeouts.write_stall).await;
            flushed.map_err(|_| Stop::Failure(Failure::ClientClosed))?;
        }
    }

    /// Passes the origin's answer on.
    async fn relay(
        &self,
        parsed: ParsedResponse,
        up_reader: &mut Reader,
        writer: &mut Writer,
    ) -> Result<(Next, Reuse), Stop> {
        let ParsedResponse {
            version,
            status,
            mut headers,
        } = parsed;
        let method = self.run.stream.state().request.method.clone();
        let framing = response_framing(&mut headers, version, &method, status)?;
        let options = hop_by_hop::strip(&mut headers);
        let keeps = match version {
            Version::Http11 => !options.close,
            Version::Http10 => options.keep_alive,
        };
        {
            let mut state = self.run.stream.state();
            state.response = ResponseHead { status, headers };
            native::on_upstream_response(&mut state);
        }
        let mut body = BodyReader::new(framing.length, self.run.sizes);
        let respond = Respond {
            run: self.run,
            client: self.client,
            door: self.door,
        };
        let source = Source::Socket {
            reader: up_reader,
            body: &mut body,
        };
        let next = respond.upstream(writer, source, framing.length).await;
        let reusable = keeps && !framing.must_close && body.is_done();
        Ok((next, if reusable { Reuse::Yes } else { Reuse::No }))
    }
}

/// Whether all of a request has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upload {
    /// It has.
    Whole,
    /// The origin broke the connection or stopped reading. It may have answered all the same, but
    /// what was left unsent must never become part of another request.
    Broken,
}

fn sent(uploaded: Result<(), PumpEnd>) -> Result<Upload, Stop> {
    match uploaded {
        Ok(()) => Ok(Upload::Whole),
        Err(PumpEnd::Sink(_)) => Ok(Upload::Broken),
        Err(PumpEnd::Stop(stop)) => Err(stop),
    }
}

/// Whether a connection may serve another exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}

/// The request head, written when the pump says so.
struct SentRequest<'a> {
    forward: &'a Forward<'a>,
}

impl PendingHead for SentRequest<'_> {
    fn check(&self) -> Result<(), Failure> {
        self.forward.admission.confirm()
    }

    fn write(&mut self, out: &mut Vec<u8>, length: BodyLength) -> BodyLength {
        let forward = self.forward;
        let mut state = forward.run.stream.state();
        let state = &mut *state;
        // Filters and the log see what the client asked for; the origin what it is rewritten to.
        let asked = native::rewrite(state);
        let host = if state.request.authority.is_empty() {
            forward.backend.backend.authority.as_bytes()
        } else {
            state.request.authority.as_bytes()
        };
        let trailers = forward.client.wants_trailers;
        encode::request_head(out, &state.request, host, length, trailers);
        if let Some(routed) = &state.routed {
            forward.mirror(&state.request, length, &routed.rule);
        }
        if let Some((authority, path)) = asked {
            state.request.authority = authority;
            state.request.path = path;
        }
        state.phase = state.phase.max(Phase::RequestSent);
        length
    }

    fn takes_trailers(&self) -> bool {
        true
    }

    fn on_piece(&mut self, piece: &Bytes) {
        for copy in self.forward.copies.borrow_mut().iter_mut().flatten() {
            copy.piece(piece);
        }
    }

    fn on_end(&mut self, trailers: Option<&HeaderMap>) {
        for copy in self.forward.copies.borrow_mut().iter_mut().flatten() {
            copy.end(trailers);
        }
    }
}
