//! One exchange between its listener and its answer, with the time limits that its rule sets.
//!
//! Owns the order admission → backend → answer, and what becomes of an exchange that takes too long.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::grpc;
use tidegate_core::message::Version;
use tidegate_core::route::RouteTimeouts;
use tidegate_core::route::Rule;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;

use crate::deadline::Expired;
use crate::downstream::Downstream;
use crate::exchange::Next;
use crate::exchange::forward::Forward;
use crate::exchange::local::Answer;
use crate::exchange::request::Admission;
use crate::exchange::request::Incoming;
use crate::exchange::respond;
use crate::exchange::respond::Client;
use crate::exchange::respond::Respond;
use crate::exchange::state::Phase;
use crate::exchange::state::StreamCell;
use crate::filters::fields;
use crate::filters::run::FilterRun;
use crate::filters::run::Stop;
use crate::outlet::Outlet;
use crate::upstream::balance::BackendState;
use crate::worker::Scene;
use crate::worker::Worker;

/// One exchange, beside the connection it is on.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) scene: &'a Scene,
    pub(super) stream: &'a Rc<StreamCell>,
    pub(super) client: &'a Client,
}

impl Exchange<'_> {
    /// Runs it for the listener that has its host.
    pub(super) async fn on_listener(
        self,
        down: &mut Downstream<'_>,
        mut length: BodyLength,
        listener: &Arc<Listener>,
    ) -> Next {
        let (generation, bind) = (&self.scene.generation, self.scene.bind());
        let worker = &down.link.worker;
        let admission = Admission {
            worker,
            generation,
            listener,
            stream: self.stream,
            draw: worker.ids.draw(),
        };
        let before = Rc::clone(&self.stream.state().chain);
        let run = FilterRun {
            worker,
            chain: &before,
            stream: self.stream,
            timeouts: &bind.timeouts,
            sizes: &bind.sizes,
        };
        let backend = match admission.straight(&before) {
            Some(backend) => backend.map_err(Stop::Failure),
            None => {
                let incoming = &mut Incoming {
                    down: &mut *down,
                    length,
                };
                // Large, and not needed where nothing looks at heads.
                let passed = Box::pin(self.pass_filters(admission, run, incoming)).await;
                length = incoming.length;
                passed
            }
        };
        match backend {
            Ok(backend) if self.rule_timeouts().request.is_none() => {
                self.forward(down, admission, backend, length).await
            }
            // What most exchanges do not need is not part of what all of them move about.
            Ok(backend) => Box::pin(self.forward_in_time(down, admission, backend, length)).await,
            Err(stop) => self.answer(down, stop).await,
        }
    }

    /// As [`Self::forward`], within the time that the rule allows.
    async fn forward_in_time(
        self,
        down: &mut Downstream<'_>,
        admission: Admission<'_>,
        backend: Rc<BackendState>,
        length: BodyLength,
    ) -> Next {
        let before = down.outlet.written();
        let mark = down.outlet.mark();
        let forward = self.forward(down, admission, backend, length);
        if let Ok(next) = self.within(admission.worker, forward).await {
            return next;
        }
        let failure = Failure::RequestTimeout;
        match late(self.stream, self.client, &down.outlet, before, failure) {
            Some(next) => next,
            None => {
                down.outlet.forget_after(mark);
                self.answer(down, failure.into()).await
            }
        }
    }

    /// Shows the head to the filters of the listener and of the rule, and finds the backend.
    async fn pass_filters(
        self,
        admission: Admission<'_>,
        run: FilterRun<'_>,
        incoming: &mut Incoming<'_, '_>,
    ) -> Result<Rc<BackendState>, Stop> {
        self.stream.state().draw = admission.draw;
        // Those that only look on have copies: the request stays as it came.
        let joins = !run.chain.only_looks_on();
        if joins {
            self.join_lines();
        }
        // Without filters of the listener it is known already.
        let known = self
            .stream
            .state()
            .routed
            .as_ref()
            .map(|it| Rc::clone(&it.rule));
        let rule = match known {
            Some(rule) => rule,
            None => {
                admission.pass_listener(run, incoming).await?;
                admission.route()?
            }
        };
        if !joins && admission.generation.acts(&rule) {
            self.join_lines();
        }
        let passing = admission.pass_rule(run, &rule, incoming);
        if self.rule_timeouts().request.is_none() {
            return passing.await;
        }
        match Box::pin(self.within(admission.worker, passing)).await {
            Ok(passed) => passed,
            Err(Expired) => Err(Failure::RequestTimeout.into()),
        }
    }

    fn join_lines(self) {
        fields::join_lines(&mut self.stream.state().request.headers);
    }

    /// Waits for a part of the exchange, as long as its rule allows for all of it.
    async fn within<T>(self, worker: &Worker, part: impl Future<Output = T>) -> Result<T, Expired> {
        let Some(limit) = self.rule_timeouts().request else {
            return Ok(part.await);
        };
        let spent = self.stream.state().facts.started.elapsed();
        let deadline = worker.wheel.deadline();
        deadline.limit(limit.saturating_sub(spent), part).await
    }

    /// What its rule allows; the limit that a gRPC client sends with its call counts too.
    fn rule_timeouts(self) -> RouteTimeouts {
        let state = self.stream.state();
        let routed = state.routed.as_ref();
        let mut timeouts = routed.map_or_else(RouteTimeouts::default, |it| it.rule.timeouts);
        if self.client.version == Version::Http2
            && let Some(asked) = grpc::timeout_of(&state.request.headers)
            && grpc::is_grpc(&state.request.headers)
        {
            let shortest = timeouts.request.map_or(asked, |limit| limit.min(asked));
            timeouts.request = Some(shortest);
        }
        timeouts
    }

    /// Sends an admitted request to its backend, and the answer back.
    async fn forward(
        self,
        down: &mut Downstream<'_>,
        admission: Admission<'_>,
        backend: Rc<BackendState>,
        length: BodyLength,
    ) -> Next {
        let bind = self.scene.bind();
        let door = &down.link.door;
        let (chain, limits) = {
            let state = self.stream.state();
            let routed = state.routed.as_ref();
            let limits = routed.and_then(|routed| own_limits(&routed.rule, bind));
            (Rc::clone(&state.chain), limits)
        };
        let (timeouts, sizes) = match limits.as_deref() {
            Some((timeouts, sizes)) => (timeouts, sizes),
            None => (&bind.timeouts, &bind.sizes),
        };
        let forward = Forward {
            run: FilterRun {
                worker: admission.worker,
                chain: &chain,
                stream: self.stream,
                timeouts,
                sizes,
            },
            client: self.client,
            admission,
            door,
            backend,
            length,
            attempt_limit: self.rule_timeouts().backend_request,
            copies: RefCell::default(),
            answered: Cell::new(false),
        };
        forward.drive(down).await
    }

    /// Answers without a backend.
    pub(super) async fn answer(self, down: &mut Downstream<'_>, stop: Stop) -> Next {
        let bind = self.scene.bind();
        let link = down.link;
        let chain = Rc::clone(&self.stream.state().chain);
        let run = FilterRun {
            worker: &link.worker,
            chain: &chain,
            stream: self.stream,
            timeouts: &bind.timeouts,
            sizes: &bind.sizes,
        };
        let respond = Respond {
            run,
            client: self.client,
            door: &link.door,
        };
        let answer = Answer::of(stop, self.stream);
        // Large, and not needed by exchanges that reach a backend.
        Box::pin(respond.local(down, answer)).await
    }
}

/// What a rule allows, if that is not what its listener does.
fn own_limits(rule: &Rule, bind: &Bind) -> Option<Box<(Timeouts, SizeLimits)>> {
    if rule.timeouts.stream_idle.is_none() && rule.buffered_body_bytes.is_none() {
        return None;
    }
    let (mut timeouts, mut sizes) = (bind.timeouts, bind.sizes);
    timeouts.stream_idle = rule.timeouts.stream_idle.unwrap_or(timeouts.stream_idle);
    sizes.buffered_body_bytes = rule
        .buffered_body_bytes
        .unwrap_or(sizes.buffered_body_bytes);
    Some(Box::new((timeouts, sizes)))
}

/// The end of an exchange that took too long, if its response is on its way: it is cut. `None` if
/// the client can still be answered.
pub(super) fn late(
    stream: &Rc<StreamCell>,
    client: &Client,
    outlet: &Outlet<'_>,
    before: u64,
    failure: Failure,
) -> Option<Next> {
    let mut state = stream.state();
    if state.phase < Phase::ResponseSent || outlet.written() == before {
        return None;
    }
    state.facts.flag = failure.verdict().flag;
    state.facts.sent += outlet.written() - before;
    Some(respond::cut(client))
}
