//! From the request head to a backend: the listener's filters, the route, the rule's filters.
//!
//! Owns the request header phase. No byte has gone upstream when it ends, so that everything a
//! filter decides here costs the origin nothing.
//!
//! A filter that edits the head may move the request to another rule. Then the filters of that rule
//! run too before the backend: no filter can route around another. Moving once is enough for
//! anybody; who moves again is refused.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::StatusCode;
use tidegate_core::authority::host_of;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;
use tidegate_core::request::renormalise;
use tidegate_core::route::Found;
use tidegate_core::route::Rule;
use tidegate_core::route::RuleId;
use tidegate_core::snapshot::Listener;
use tidegate_host_abi::Side;

use crate::downstream::Downstream;
use crate::exchange::intake::Intake;
use crate::exchange::intake::Progress;
use crate::exchange::intake::Source;
use crate::exchange::native;
use crate::exchange::state::StreamCell;
use crate::exchange::upgrade;
use crate::filters::Chain;
use crate::filters::Step;
use crate::filters::run::FilterRun;
use crate::filters::run::HeadStep;
use crate::filters::run::HeldHead;
use crate::filters::run::Stop;
use crate::upstream::balance::BackendState;
use crate::worker::Generation;
use crate::worker::Worker;

/// A rule as exchanges of one worker hold it: without touching what other workers count.
pub(crate) type RuleRef = Rc<Arc<Rule>>;

/// The rule that has an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) rule: RuleRef,
    /// See [`tidegate_core::route::Found::prefix`].
    pub(crate) prefix: Option<usize>,
    /// Which of the rule's backends it goes to, once that is decided.
    pub(crate) share: Option<usize>,
}

/// A request on its way to a backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) generation: &'a Generation,
    pub(crate) listener: &'a Arc<Listener>,
    pub(crate) stream: &'a Rc<StreamCell>,
    /// The exchange's random bits: one draw, however often it is routed.
    pub(crate) draw: u64,
}

/// A request whose head is on its way through filters.
pub(crate) struct Incoming<'a, 'd> {
    pub(crate) down: &'a mut Downstream<'d>,
    /// The length of its body, as filters left it.
    pub(crate) length: BodyLength,
}

impl Admission<'_> {
    /// Shows the head to the filters of the listener.
    pub(crate) async fn pass_listener(
        self,
        run: FilterRun<'_>,
        incoming: &mut Incoming<'_, '_>,
    ) -> Result<(), Stop> {
        self.steps(run, 0, incoming).await
    }

    /// The backend, if neither the listener nor the rule has filters; `None` if the head has to pass
    /// some first.
    pub(crate) fn straight(self, listener: &Chain) -> Option<Result<Rc<BackendState>, Failure>> {
        if !listener.is_empty() {
            return None;
        }
        match self.route() {
            Ok(rule) if rule.filters.is_empty() => Some(self.pick()),
            Ok(_) => None,
            Err(failure) => Some(Err(failure)),
        }
    }

    /// Shows the head to the filters of the rule, and finds the backend.
    pub(crate) async fn pass_rule(
        self,
        run: FilterRun<'_>,
        first: &RuleRef,
        incoming: &mut Incoming<'_, '_>,
    ) -> Result<Rc<BackendState>, Stop> {
        let chain = self.generation.rule_chain(self.listener, first);
        if !Rc::ptr_eq(&chain, self.generation.listener_chain(self.listener)) {
            let begin = run.chain.steps.len();
            let chain = self.deal(chain);
            self.pass(run, chain, begin, incoming).await?;
        }
        if self.stream.state().request_edited {
            let second = self.route()?;
            if second.id != first.id {
                let chain = Rc::clone(&self.stream.state().chain);
                let (chain, begin) = chain.moved_to(&second, self.generation);
                let chain = self.deal(Rc::new(chain));
                self.pass(run, chain, begin, incoming).await?;
                if self.stream.state().request_edited && self.route()?.id != second.id {
                    return Err(Failure::RouteUnstable.into());
                }
            }
        }
        Ok(self.pick()?)
    }

    /// The chain with the versions of its plugins that this stream gets.
    fn deal(self, chain: Rc<Chain>) -> Rc<Chain> {
        if !chain.is_dealt() {
            return chain;
        }
        let mut state = self.stream.state();
        chain.dealt(&mut state, || self.worker.ids.draw())
    }

    /// Lets the head pass what a longer chain adds.
    async fn pass(
        self,
        run: FilterRun<'_>,
        chain: Rc<Chain>,
        begin: usize,
        incoming: &mut Incoming<'_, '_>,
    ) -> Result<(), Stop> {
        self.stream.state().follow(&chain, begin);
        let run = FilterRun {
            chain: &chain,
            ..run
        };
        self.steps(run, begin, incoming).await
    }

    async fn steps(
        self,
        run: FilterRun<'_>,
        begin: usize,
        incoming: &mut Incoming<'_, '_>,
    ) -> Result<(), Stop> {
        for (place, step) in run.chain.steps.iter().enumerate().skip(begin) {
            match step {
                Step::Refused => return Err(Failure::PluginUnavailable.into()),
                Step::Rule(rule, at) => {
                    if let Some(filter) = rule.filters.get(*at) {
                        native::on_request(filter, self.stream, incoming.down.link.local.port())?;
                    }
                }
                Step::Plugin(at) => {
                    let end_of_stream = incoming.length == BodyLength::Empty;
                    match run.head(*at, Side::Request, end_of_stream).await? {
                        HeadStep::Continue => {}
                        // Large, and a pause costs more than this.
                        HeadStep::Pause(HeldHead::Leaves) => {
                            Box::pin(wait(run, *at, incoming.down)).await?;
                        }
                        HeadStep::Pause(held) => Box::pin(hold(run, *at, held, incoming)).await?,
                    }
                }
            }
            self.stream.state().passed_steps = place + 1;
        }
        Ok(())
    }

    /// The rule for the head as it is now.
    pub(crate) fn route(self) -> Result<RuleRef, Failure> {
        let mut state = self.stream.state();
        if std::mem::take(&mut state.request_edited) {
            renormalise(&mut state.request)?;
        }
        let found = find(self.listener, &state.request).ok_or(Failure::NoRoute)?;
        let rule = self.generation.rule(found.rule);
        let prefix = found.prefix;
        state.routed = Some(Routed {
            rule: Rc::clone(&rule),
            prefix,
            share: None,
        });
        Ok(rule)
    }

    /// The backend for the rule that has the request at last.
    pub(crate) fn pick(self) -> Result<Rc<BackendState>, Failure> {
        let mut state = self.stream.state();
        let state = &mut *state;
        let routed = state.routed.as_mut().ok_or(Failure::NoRoute)?;
        routed.share = share_of(&routed.rule, state.chosen_share, self.draw);
        let share = routed.share.and_then(|at| routed.rule.backends.get(at));
        let backend = share.and_then(|it| it.backend);
        let backend = backend.ok_or(Failure::NoBackend)?;
        let backend = self.generation.backend(backend, &self.worker.backends);
        let backend = backend.ok_or(Failure::NoBackend)?;
        state.facts.backend = Some(Rc::clone(backend));
        if state.upgrade.is_some() {
            upgrade::admit(state)?;
        }
        Ok(Rc::clone(backend))
    }

    /// Whether the head, edited after it was let through, still belongs to the rule that has it.
    pub(crate) fn confirm(self) -> Result<(), Failure> {
        let before = {
            let state = self.stream.state();
            match &state.routed {
                Some(routed) if state.request_edited => routed.clone(),
                _ => return Ok(()),
            }
        };
        if self.route()?.id != before.rule.id {
            // Its filters can no longer be run: the body has begun.
            return Err(Failure::RouteUnstable);
        }
        if let Some(routed) = &mut self.stream.state().routed {
            routed.share = before.share;
        }
        Ok(())
    }
}

/// The place of the backend of a rule that has an exchange: what a filter chose, or what the draw comes
/// to. What was chosen of another rule says nothing about this one.
pub(crate) fn share_of(rule: &Rule, chosen: Option<(RuleId, usize)>, draw: u64) -> Option<usize> {
    match chosen {
        Some((of, place)) if of == rule.id => Some(place),
        Some(_) | None => rule.pick(draw),
    }
}

/// The rule of a listener for a head.
pub(crate) fn find<'l>(listener: &'l Listener, head: &RequestHead) -> Option<Found<'l>> {
    let host = if listener.routes.looks_at_hosts() {
        host_of(head.authority.as_bytes())
    } else {
        ""
    };
    listener.routes.find(host, head)
}

/// Waits for a paused filter, and notices if the client goes away meanwhile.
async fn wait(run: FilterRun<'_>, at: usize, down: &mut Downstream<'_>) -> Result<(), Stop> {
    let keep = run.sizes.head_bytes;
    let gone = pin!(down.inlet.gone(keep));
    let resumed = pin!(run.resumed(at, Side::Request, "headers"));
    tokio::select! {
        biased;
        resumed = resumed => resumed,
        failure = gone => Err(failure.into()),
    }
}

/// Reads the body while a filter holds the head back.
async fn hold(
    run: FilterRun<'_>,
    at: usize,
    held: HeldHead,
    incoming: &mut Incoming<'_, '_>,
) -> Result<(), Stop> {
    invite_body(run, incoming.down).await?;
    let source = Source::Peer(incoming.down.inlet.lend());
    let progress = take_ahead(run.stream);
    let mut intake = Intake::new(run, Side::Request, source, progress);
    intake.hold(at, held).await?;
    run.stream.state().ahead = Some(Box::new(intake.progress));
    Ok(())
}

/// What was read of the request body before its head could leave.
pub(crate) fn take_ahead(stream: &Rc<StreamCell>) -> Progress {
    let ahead = stream.state().ahead.take();
    ahead.map_or_else(Progress::default, |ahead| *ahead)
}

/// Tells a client that waits for it that its body is wanted (RFC 9110 §10.1.1); once.
pub(crate) async fn invite_body(
    run: FilterRun<'_>,
    down: &mut Downstream<'_>,
) -> Result<(), Failure> {
    let waits = std::mem::take(&mut run.stream.state().expects_continue);
    if !waits || down.inlet.is_done() || down.inlet.has_bytes() {
        return Ok(());
    }
    let (nothing, stall) = (HeaderMap::new(), run.timeouts.write_stall);
    let told = down.outlet.interim(StatusCode::CONTINUE, &nothing, stall);
    told.await.map_err(|_| Failure::ClientClosed)
}
