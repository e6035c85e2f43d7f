//! The response on its way to the client: filters on its head, then its body.
//!
//! Owns what the client's connection does afterwards, and the rule that a response which failed
//! half-way is never made to look complete.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tidegate_core::failure::Blame;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::framing::is_bodiless;
use tidegate_core::grpc;
use tidegate_core::message::Version;
use tidegate_host_abi::Side;

use crate::downstream::Downstream;
use crate::exchange::Next;
use crate::exchange::injection::Injections;
use crate::exchange::intake::Intake;
use crate::exchange::intake::Progress;
use crate::exchange::intake::Source;
use crate::exchange::local;
use crate::exchange::local::Answer;
use crate::exchange::native;
use crate::exchange::pump::PendingHead;
use crate::exchange::pump::Pump;
use crate::exchange::pump::PumpEnd;
use crate::exchange::state::Phase;
use crate::exchange::upgrade;
use crate::filters::Step;
use crate::filters::run::FilterRun;
use crate::filters::run::HeadStep;
use crate::filters::run::HeldHead;
use crate::filters::run::Stop;
use crate::http1::encode;
use crate::http1::encode::After;
use crate::http1::writer::WriteError;
use crate::http2::head;
use crate::outlet::Outlet;
use crate::worker::Door;

/// What the client asked for and can take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) version: Version,
    pub(crate) head_request: bool,
    pub(crate) wants_trailers: bool,
    /// The client wants to use its connection again, and may.
    pub(crate) keep_alive: bool,
}

/// Sends one response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Respond<'a> {
    pub(crate) run: FilterRun<'a>,
    pub(crate) client: &'a Client,
    pub(crate) door: &'a Door,
}

/// Whether filters see a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    ByFilters,
    ByNobody,
}

impl<'a> Respond<'a> {
    /// Sends an answer made here. What is left of the request body is not read.
    pub(crate) async fn local(self, down: &mut Downstream<'_>, answer: Answer) -> Next {
        if let Some(failure) = answer.failure
            && !(failure.is_answerable() && down.outlet.is_open())
        {
            let mut state = self.run.stream.state();
            state.facts.flag = answer.flag;
            state.response = answer.head;
            return Next::Abort;
        }
        // A body that came with the head need not cost the connection.
        while !down.inlet.is_done() && matches!(down.inlet.decode(), Ok(Some(_))) {}
        let unread = !down.inlet.is_done();
        let before = down.outlet.written();
        let next = self.answer(&mut down.outlet, answer, unread).await;
        self.run.stream.state().facts.sent += down.outlet.written() - before;
        match next {
            Next::KeepAlive if unread => Next::Linger,
            next => next,
        }
    }

    /// Sends an answer made here, shown to the filters that saw the request.
    pub(crate) async fn answer(self, outlet: &mut Outlet<'_>, answer: Answer, close: bool) -> Next {
        // A filter that failed must not be asked about its failure; all else is shown, as in Envoy.
        let blame = answer.failure.map(|failure| failure.verdict().blame);
        let seen = if blame == Some(Blame::Plugin) {
            Seen::ByNobody
        } else {
            Seen::ByFilters
        };
        let (length, source) = self.set_answer(answer);
        self.send_or_fail(outlet, source, length, seen, close).await
    }

    /// Sends the response whose head is in the state.
    pub(crate) fn upstream(
        self,
        outlet: &mut Outlet<'_>,
        source: Source<'_>,
        length: BodyLength,
    ) -> impl Future<Output = Next> {
        self.send_or_fail(outlet, source, length, Seen::ByFilters, false)
    }

    async fn send_or_fail(
        self,
        outlet: &mut Outlet<'_>,
        source: Source<'_>,
        length: BodyLength,
        seen: Seen,
        close: bool,
    ) -> Next {
        let mark = outlet.mark();
        let before = outlet.written();
        let end = match self.send(outlet, source, length, seen, close).await {
            Ok(next) => return next,
            Err(end) => end,
        };
        let failure = match end {
            PumpEnd::Stop(Stop::Failure(failure)) => failure,
            PumpEnd::Stop(Stop::Local) => {
                if self.head_is_sent(outlet, before) {
                    self.run.stream.state().local = None;
                    self.flag(Failure::PluginClosedStream);
                    return cut(self.client);
                }
                let answer = Answer::of(Stop::Local, self.run.stream);
                outlet.forget_after(mark);
                let (length, source) = self.set_answer(answer);
                let sent = self
                    .send(outlet, source, length, Seen::ByNobody, close)
                    .await;
                return sent.unwrap_or(Next::Abort);
            }
            PumpEnd::Sink(WriteError::Stalled) => Failure::ClientStalled,
            PumpEnd::Sink(WriteError::Broken) => Failure::ClientClosed,
        };
        self.flag(failure);
        if self.head_is_sent(outlet, before) {
            return cut(self.client);
        }
        if !failure.is_answerable() {
            return Next::Abort;
        }
        outlet.forget_after(mark);
        let (length, source) = self.set_answer(Answer::of(failure.into(), self.run.stream));
        self.send(outlet, source, length, Seen::ByNobody, true)
            .await
            .unwrap_or(Next::Abort)
    }

    /// Whether any byte of the response may have left: until then another can take its place.
    fn head_is_sent(&self, outlet: &Outlet<'_>, before: u64) -> bool {
        outlet.written() != before && self.run.stream.state().phase >= Phase::ResponseSent
    }

    fn flag(&self, failure: Failure) {
        let mut state = self.run.stream.state();
        state.facts.flag = failure.verdict().flag;
        if let Some(blame) = state.blame.as_ref().filter(|_| failure.has_details()) {
            state.facts.details = Bytes::copy_from_slice(blame.as_bytes());
        }
    }

    fn set_answer(&self, mut answer: Answer) -> (BodyLength, Source<'static>) {
        if grpc::is_grpc(&self.run.stream.state().request.headers) {
            answer.make_grpc();
        }
        let Answer {
            mut head,
            body,
            failure: _,
            flag,
            details,
            grpc_status: _,
        } = answer;
        local::set_date(&mut head, self.run.worker);
        let length = match body.len() as u64 {
            0 => BodyLength::Empty,
            bytes => BodyLength::Exactly(bytes),
        };
        if !body.is_empty() {
            head.headers
                .insert(CONTENT_LENGTH, (body.len() as u64).into());
        }
        let mut state = self.run.stream.state();
        state.response = head;
        state.response_trailers = None;
        state.facts.flag = flag;
        state.facts.details = details;
        // A header that a filter could not set is not this answer's.
        state.invalid_header = false;
        (length, Source::Ready(Some(body)))
    }

    async fn send(
        self,
        outlet: &mut Outlet<'_>,
        source: Source<'_>,
        length: BodyLength,
        seen: Seen,
        close: bool,
    ) -> Result<Next, PumpEnd> {
        let (mut length, mut source, mut seen) = (length, source, seen);
        let mut progress = Progress::default();
        self.run.stream.state().phase = Phase::ResponseHeaders;
        if seen == Seen::ByFilters && !self.run.chain.is_empty() {
            let room = self.run.sizes.buffered_body_bytes;
            self.run.stream.state().injections = Injections::opened(room);
            self.filters(&mut length, &mut source, &mut progress, &mut seen)
                .await?;
        }
        let status = self.run.stream.state().response.status;
        let bodiless = self.client.head_request || is_bodiless(&http::Method::GET, status);
        if bodiless {
            length = BodyLength::Empty;
            // Whatever filters made of it: bytes after this head would be the next response's.
            progress.out.clear();
            self.run.stream.state().injections = Injections::default();
            if seen == Seen::ByFilters && self.run.chain.edits_bodies(Side::Response) {
                // Nobody knows the length that a body would have had.
                let mut state = self.run.stream.state();
                state.response.headers.remove(CONTENT_LENGTH);
            }
        }
        if seen == Seen::ByNobody {
            self.run.stream.state().injections = Injections::default();
        }
        let mut sent = SentHead {
            respond: self,
            bodiless,
            close,
            after: After::Close,
        };
        let intake = Intake::new(self.run, Side::Response, source, progress);
        let mut pump = Pump::new(intake, length, outlet.lend(), &mut sent);
        if seen == Seen::ByNobody {
            pump.hide();
        }
        pump.run().await?;
        Ok(match sent.after {
            After::Close => Next::Linger,
            After::KeepAlive | After::KeepAliveTold => Next::KeepAlive,
            After::Upgraded => Next::Upgraded,
        })
    }

    /// Shows the head to the filters that saw the request, in reverse order. An answer of one of them
    /// replaces the response and is shown to no further one, as in Envoy; what the rule does to
    /// responses it does to this one too.
    async fn filters<'s>(
        &self,
        length: &mut BodyLength,
        source: &mut Source<'s>,
        progress: &mut Progress,
        seen: &mut Seen,
    ) -> Result<(), PumpEnd> {
        let passed = self.run.stream.state().passed_steps;
        for (place, step) in self.run.chain.steps.iter().enumerate().rev() {
            let at = match step {
                Step::Plugin(at) => *at,
                Step::Refused => continue,
                Step::Rule(rule, at) => {
                    if let Some(filter) = rule.filters.get(*at).filter(|_| place < passed) {
                        native::on_response(filter, &mut self.run.stream.state());
                    }
                    continue;
                }
            };
            if *seen == Seen::ByNobody {
                continue; // A filter has answered: that goes out as it is.
            }
            let ends = *length == BodyLength::Empty || self.client.head_request;
            let outcome = match self.run.head(at, Side::Response, ends).await {
                Ok(HeadStep::Pause(held)) => {
                    // Large, and a pause costs more than this.
                    let hold = Box::pin(self.hold(at, held, source, progress));
                    hold.await.map(|()| HeadStep::Continue)
                }
                outcome => outcome,
            };
            match outcome {
                Ok(_) => {
                    if *length == BodyLength::Empty && self.run.stream.state().has_injected(at) {
                        // It gets a body, of what filters inject alone.
                        (*length, *source) = (BodyLength::Chunked, Source::Ready(None));
                        progress.input_ended = true;
                    }
                }
                Err(Stop::Local) => {
                    let answer = Answer::of(Stop::Local, self.run.stream);
                    let failed = answer.failure;
                    let (new_length, new_source) = self.set_answer(answer);
                    if let Some(failure) = failed {
                        return Err(failure.into());
                    }
                    (*length, *source) = (new_length, new_source);
                    *seen = Seen::ByNobody;
                    *progress = Progress::default();
                }
                Err(stop) => return Err(PumpEnd::Stop(stop)),
            }
        }
        Ok(())
    }
}

impl Respond<'_> {
    /// Waits while a filter holds the head back, and reads the body meanwhile if it wants that.
    async fn hold<'s>(
        &self,
        at: usize,
        held: HeldHead,
        source: &mut Source<'s>,
        progress: &mut Progress,
    ) -> Result<(), Stop> {
        if held == HeldHead::Leaves {
            return self.run.resumed(at, Side::Response, "headers").await;
        }
        let from = std::mem::replace(source, Source::Ready(None));
        let mut intake = Intake::new(self.run, Side::Response, from, std::mem::take(progress));
        let held = intake.hold(at, held).await;
        *source = intake.source;
        *progress = intake.progress;
        held
    }
}

/// The end of a response that is not complete. A client that counts bytes or chunks sees it
/// missing; one that reads until the close must see a reset, and so must a stream.
pub(crate) fn cut(client: &Client) -> Next {
    match client.version {
        Version::Http11 => Next::Close,
        Version::Http10 | Version::Http2 => Next::Abort,
    }
}

/// The response head, written when the pump says so.
struct SentHead<'a> {
    respond: Respond<'a>,
    bodiless: bool,
    close: bool,
    after: After,
}

impl PendingHead for &mut SentHead<'_> {
    fn write(
        &mut self,
        outlet: &mut Outlet<'_>,
        length: BodyLength,
        ends: bool,
    ) -> Result<BodyLength, PumpEnd> {
        let Client {
            version,
            keep_alive,
            ..
        } = *self.respond.client;
        let framed = match length {
            BodyLength::Chunked | BodyLength::UntilClose if version == Version::Http10 => {
                BodyLength::UntilClose
            }
            // We frame what the origin did not, so that the client's connection stays.
            BodyLength::UntilClose => BodyLength::Chunked,
            length => length,
        };
        let closes = self.close
            || !keep_alive
            || framed == BodyLength::UntilClose
            || self.respond.door.is_closed();
        self.after = match (closes, version) {
            (true, _) => After::Close,
            (false, Version::Http10) => After::KeepAliveTold,
            (false, Version::Http11 | Version::Http2) => After::KeepAlive,
        };
        let mut state = self.respond.run.stream.state();
        if state.upgrade.is_some() {
            upgrade::check(&mut state)?;
            // Who sends on before an answer other than the wished one does not send HTTP.
            self.after = if upgrade::is_done(&state) {
                After::Upgraded
            } else {
                After::Close
            };
        }
        match outlet {
            Outlet::Http1(writer) => {
                let out = &mut writer.out;
                encode::response_head(out, &state.response, framed, self.bodiless, self.after);
            }
            Outlet::Http2(writer) => {
                let mut headers = head::for_client(&state.response, framed, self.bodiless);
                let mut status = state.response.status;
                if self.after == After::Upgraded {
                    status = upgrade::as_stream(&mut headers);
                    writer.begin_tunnel();
                }
                let ends = ends && self.after != After::Upgraded;
                let sent = writer.response(status, headers, ends);
                sent.map_err(PumpEnd::Sink)?;
            }
        }
        state.phase = Phase::ResponseSent;
        if !state.picks.is_empty() {
            state.picks.head_after = Some(state.facts.started.elapsed());
        }
        Ok(framed)
    }

    fn on_piece(&mut self, piece: &Bytes) {
        if !self.respond.run.chain.has_no_plugins() {
            self.respond.run.stream.state().body_sent += piece.len() as u64;
        }
    }

    fn on_unread(&mut self, bytes: usize) {
        if !self.respond.run.chain.has_no_plugins() {
            self.respond.run.stream.state().body_sent += bytes as u64;
        }
    }

    fn on_end(&mut self, _: Option<&HeaderMap>) {
        if !self.respond.run.chain.has_no_plugins() {
            self.respond.run.stream.state().injections.open = false;
        }
    }

    fn takes_trailers(&self) -> bool {
        let client = self.respond.client;
        match client.version {
            Version::Http10 => false,
            Version::Http11 => client.wants_trailers,
            // Streams always have room for them.
            Version::Http2 => true,
        }
    }
}
