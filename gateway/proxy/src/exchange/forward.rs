//! The request on its way to the origin, and the wait for the answer.
//!
//! Owns attempts, the request body beside an early answer, and the return of connections to the
//! pool. Both directions run in the client connection's own task: nothing is spawned or sent
//! between tasks.

mod answer;
mod fault;
mod sent;

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use http::StatusCode;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::proxy_protocol::Ends;
use tidegate_core::retry::Attempt;
use tidegate_core::retry::may_resend;
use tidegate_host_abi::AttemptFault;
use tidegate_host_abi::Outage;
use tidegate_host_abi::Side;

use crate::downstream::Downstream;
use crate::exchange::Next;
use crate::exchange::course::late;
use crate::exchange::forward::sent::SentRequest;
use crate::exchange::intake::Intake;
use crate::exchange::intake::Source;
use crate::exchange::local::Answer;
use crate::exchange::mirror::Copy;
use crate::exchange::pump::Pump;
use crate::exchange::pump::PumpEnd;
use crate::exchange::request::Admission;
use crate::exchange::request::invite_body;
use crate::exchange::request::take_ahead;
use crate::exchange::respond::Client;
use crate::exchange::respond::Respond;
use crate::exchange::state::Phase;
use crate::exchange::state::Way;
use crate::exchange::upgrade;
use crate::filters::run::FilterRun;
use crate::filters::run::Stop;
use crate::outlet::Outlet;
use crate::upstream;
use crate::upstream::ConnectError;
use crate::upstream::Freshness;
use crate::upstream::Upstream;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Picked;
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
    /// An interim response has come: the origin works on the request.
    pub(crate) answered: Cell<bool>,
}

/// What the log is told of origins that open no tunnels on streams.
const NO_TUNNELS: &str = "it speaks HTTP/2 and announces no extended CONNECT";

/// How one attempt ended.
enum Attempted {
    /// The client has its answer.
    Answered(Next),
    /// The kept connection was dead; a new one may do.
    Stale,
    /// A filter wanted it to fail. Nothing was sent: whatever the request is, another may be made.
    Refused(Outage),
    /// There is no answer from the origin.
    Stopped(Stop),
}

impl Forward<'_> {
    /// Sends the request, and the answer back.
    pub(crate) async fn drive(&self, down: &mut Downstream<'_>) -> Next {
        let (mut invites, mut has_faults) = {
            let state = self.run.stream.state();
            (state.expects_continue, !state.faults.is_empty())
        };
        let mut freshness = self.freshness();
        loop {
            let fault = if has_faults {
                self.wanted_fault()
            } else {
                None
            };
            has_faults = fault.is_some();
            if invites && fault.is_none_or(|fault| fault.outage.is_none()) {
                invites = false;
                // Filters have let the head pass.
                let invited = Box::pin(invite_body(self.run, down)).await;
                if let Err(failure) = invited {
                    return self.give_up(down, failure.into()).await;
                }
            }
            let attempted = match (self.attempt_limit, fault) {
                (None, None) => self.attempt(down, freshness).await,
                // What most exchanges do not need is not part of what all of them move about.
                (None, Some(fault)) => Box::pin(self.faulty_attempt(fault, down, freshness)).await,
                (Some(limit), fault) => {
                    Box::pin(self.attempt_in_time(limit, fault, down, freshness)).await
                }
            };
            match attempted {
                Attempted::Answered(next) => return next,
                Attempted::Stale => freshness = freshness.renewed(),
                // Route retries will look at both of these alike.
                Attempted::Refused(outage) => {
                    return self.answer_here(down, Answer::of_fault(outage)).await;
                }
                Attempted::Stopped(stop) => return self.give_up(down, stop).await,
            }
        }
    }

    /// Which connections will do for the first attempt.
    fn freshness(&self) -> Freshness {
        let mut state = self.run.stream.state();
        if state.upgrade.is_none() {
            return Freshness::Any;
        }
        let http2_alone = self.backend.backend.protocol == BackendProtocol::Http2;
        upgrade::freshness(&mut state, self.length, http2_alone)
    }

    /// Answers why there is no answer from the origin.
    async fn give_up(&self, down: &mut Downstream<'_>, stop: Stop) -> Next {
        self.answer_here(down, Answer::of(stop, self.run.stream))
            .await
    }

    /// Answers without the origin.
    async fn answer_here(&self, down: &mut Downstream<'_>, answer: Answer) -> Next {
        let respond = Respond {
            run: self.run,
            client: self.client,
            door: self.door,
        };
        // Large and rare: it is not part of what every exchange moves about.
        Box::pin(respond.local(down, answer)).await
    }

    /// A connection, opened if need be, unless the client goes away meanwhile.
    async fn connect(
        &self,
        down: &mut Downstream<'_>,
        picked: Option<Picked>,
        freshness: Freshness,
    ) -> Result<Upstream, ConnectError> {
        let keep = self.run.sizes.head_bytes;
        let ends = self.ends();
        let connecting = upstream::connect_from(
            self.admission.worker,
            &self.backend,
            picked,
            freshness,
            Some(&ends),
        );
        tokio::select! {
            biased;
            connected = connecting => connected,
            failure = down.inlet.gone(keep) => Err(ConnectError {
                failure,
                endpoint: None,
            }),
        }
    }

    /// Whom origins that ask for it are told the connection is from.
    fn ends(&self) -> Ends {
        let state = self.run.stream.state();
        let facts = &state.facts;
        Ends {
            source: facts.source(),
            destination: facts.local,
        }
    }

    async fn attempt_in_time(
        &self,
        limit: Duration,
        fault: Option<AttemptFault>,
        down: &mut Downstream<'_>,
        freshness: Freshness,
    ) -> Attempted {
        let before = down.outlet.written();
        let mark = down.outlet.mark();
        let deadline = self.run.worker.wheel.deadline();
        let attempt = async {
            match fault {
                None => self.attempt(down, freshness).await,
                Some(fault) => Box::pin(self.faulty_attempt(fault, down, freshness)).await,
            }
        };
        if let Ok(attempted) = deadline.limit(limit, attempt).await {
            return attempted;
        }
        let failure = Failure::BackendRequestTimeout;
        match late(self.run.stream, self.client, &down.outlet, before, failure) {
            Some(next) => Attempted::Answered(next),
            None => {
                down.outlet.forget_after(mark);
                Attempted::Stopped(failure.into())
            }
        }
    }

    async fn attempt(&self, down: &mut Downstream<'_>, freshness: Freshness) -> Attempted {
        if self.length != BodyLength::Empty && self.run.chain.sees_bodies(Side::Request) {
            // Large, and few filters see bodies.
            let ready = Box::pin(self.until_it_leaves(down)).await;
            if let Err(stop) = ready {
                return Attempted::Stopped(stop);
            }
        }
        let worker = self.run.worker;
        let begun = (!self.run.chain.has_no_plugins()).then(Instant::now);
        let chosen = self.run.stream.state().chosen_endpoint.clone();
        let picked = chosen
            .and_then(|address| self.backend.at(*address))
            .or_else(|| self.backend.pick(worker.ids.draw(), &[]));
        let kept = upstream::kept(worker, &self.backend, picked, freshness);
        let connected = match kept {
            Some(kept) => Ok(kept),
            // Large and rare, as above.
            None => Box::pin(self.connect(down, picked, freshness)).await,
        };
        let mut upstream = match connected {
            Ok(upstream) => upstream,
            Err(ConnectError { failure, endpoint }) => {
                let mut state = self.run.stream.state();
                state.facts.endpoint = endpoint;
                state.facts.attempts += u32::from(endpoint.is_some());
                state.blame = match failure {
                    Failure::UpgradeFailed => Some(NO_TUNNELS.to_owned()),
                    failure => self.backend.more_about(failure),
                };
                return Attempted::Stopped(failure.into());
            }
        };
        {
            let mut state = self.run.stream.state();
            state.facts.endpoint = Some(upstream.endpoint());
            state.facts.attempts += 1;
            if let Some(begun) = begun {
                state.way = Some(Box::new(Way {
                    local: upstream.local(),
                    ready_after: begun.elapsed(),
                    ..Way::default()
                }));
            }
        }
        let before = down.outlet.written();
        let attempted = self.on_connection(&mut upstream, down).await;
        self.run.stream.state().facts.sent += down.outlet.written() - before;
        match attempted {
            Ok((Next::Upgraded, _)) => {
                if let Some(upgrade) = &mut self.run.stream.state().upgrade {
                    upgrade.origin = Some(upstream);
                }
                Attempted::Answered(Next::Upgraded)
            }
            Ok((next, Reuse::Yes)) => {
                upstream.keep(self.run.worker);
                Attempted::Answered(next)
            }
            Ok((next, Reuse::No)) => Attempted::Answered(next),
            Err(stop) => {
                let attempt = Attempt {
                    reused: upstream.is_reused(),
                    answered: self.answered.get() || upstream.has_bytes(),
                    unprocessed: upstream.is_unprocessed(),
                    body_started: down.inlet.received() > 0
                        || (self.length != BodyLength::Empty && down.inlet.is_done()),
                };
                let method = self.run.stream.state().request.method.clone();
                let reset = stop == Stop::Failure(Failure::UpstreamReset);
                if reset && freshness.may_be_kept() && may_resend(&method, attempt) {
                    self.run.stream.state().phase = Phase::RequestHeaders;
                    return Attempted::Stale;
                }
                Attempted::Stopped(stop)
            }
        }
    }

    /// Reads what filters hold back before the head may leave: no connection waits with it.
    async fn until_it_leaves(&self, down: &mut Downstream<'_>) -> Result<(), Stop> {
        let source = Source::Peer(down.inlet.lend());
        let progress = take_ahead(self.run.stream);
        let mut intake = Intake::new(self.run, Side::Request, source, progress);
        intake.until_it_leaves(self.length).await?;
        self.run.stream.state().ahead = Some(Box::new(intake.progress));
        Ok(())
    }

    async fn on_connection(
        &self,
        upstream: &mut Upstream,
        down: &mut Downstream<'_>,
    ) -> Result<(Next, Reuse), Stop> {
        if self.length != BodyLength::Empty {
            // Large, and most requests have none.
            return Box::pin(self.with_body(upstream, down)).await;
        }
        let (mut up_inlet, up_outlet) = upstream.ends();
        let upload = sent(self.upload(Source::Ready(None), up_outlet).run().await)?;
        let Downstream { inlet, outlet, .. } = down;
        self.answer(upload, &mut up_inlet, inlet, outlet).await
    }

    /// Sends a request with its body. The origin may answer before it has all of it.
    async fn with_body(
        &self,
        upstream: &mut Upstream,
        down: &mut Downstream<'_>,
    ) -> Result<(Next, Reuse), Stop> {
        let (mut up_inlet, up_outlet) = upstream.ends();
        let Downstream { inlet, outlet, .. } = down;
        let (upload, early) = {
            let mut pump = self.upload(Source::Peer(inlet.lend()), up_outlet);
            let uploaded = Cell::new(None);
            let mut upload = pin!(self.upload_and_watch(&mut pump, &uploaded));
            let mut whole = poll_fn(|cx| match upload.as_mut().poll(cx) {
                Poll::Ready(stop) => Poll::Ready(Err(stop)),
                Poll::Pending => uploaded
                    .get()
                    .map_or(Poll::Pending, |it| Poll::Ready(Ok(it))),
            });
            let early = {
                let mut answer = pin!(self.head_or_interim(&mut up_inlet, outlet));
                tokio::select! {
                    biased;
                    upload = &mut whole => Err(upload?),
                    parsed = &mut answer => Ok(parsed?),
                }
            };
            match early {
                Err(upload) => (upload, None),
                // What follows the body is the other protocol's: the body comes first.
                Ok(parsed) if parsed.status == StatusCode::SWITCHING_PROTOCOLS => {
                    (whole.await?, Some(parsed))
                }
                Ok(parsed) => {
                    if self.run.stream.state().phase < Phase::RequestSent {
                        // It answers what it was not asked.
                        return Err(Failure::UpstreamProtocol.into());
                    }
                    let relayed = self
                        .relay_beside(upload, parsed, &mut up_inlet, outlet)
                        .await;
                    let (next, reuse) = relayed?;
                    let whole = uploaded.get() == Some(Upload::Whole);
                    return Ok((next, if whole { reuse } else { Reuse::No }));
                }
            }
        };
        match early {
            None => self.answer(upload, &mut up_inlet, inlet, outlet).await,
            Some(_) if upload == Upload::Broken => Err(Failure::UpstreamReset.into()),
            Some(parsed) => {
                self.relay_and_watch(parsed, &mut up_inlet, inlet, outlet)
                    .await
            }
        }
    }

    /// Sends the request's body, notes how that went, and then watches the client until it is gone.
    /// Returns only when there is a reason to stop.
    async fn upload_and_watch(
        &self,
        pump: &mut Pump<'_, SentRequest<'_>>,
        uploaded: &Cell<Option<Upload>>,
    ) -> Stop {
        match sent(pump.run().await) {
            Ok(upload) => uploaded.set(Some(upload)),
            Err(stop) => return stop,
        }
        pump.client_gone(self.run.sizes.head_bytes).await.into()
    }

    /// The request on its way to the origin.
    fn upload<'s>(&'s self, source: Source<'s>, sink: Outlet<'s>) -> Pump<'s, SentRequest<'s>> {
        let head = SentRequest { forward: self };
        let progress = take_ahead(self.run.stream);
        let intake = Intake::new(self.run, Side::Request, source, progress);
        Pump::new(intake, self.length, sink, head)
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
