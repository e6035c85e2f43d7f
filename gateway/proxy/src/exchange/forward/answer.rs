//! The wait for the origin's answer, and its way to the client.
//!
//! Owns interim responses, early answers beside an upload, and noticing that a client or a filter
//! has given up meanwhile.

use std::pin::Pin;

use http::StatusCode;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::hop_by_hop;
use tidegate_core::message::ResponseHead;
use tidegate_core::message::Version;

use crate::exchange::Next;
use crate::exchange::forward::Forward;
use crate::exchange::forward::Reuse;
use crate::exchange::forward::Upload;
use crate::exchange::intake::Source;
use crate::exchange::native;
use crate::exchange::respond::Respond;
use crate::exchange::state::Phase;
use crate::exchange::upgrade;
use crate::filters::run::Stop;
use crate::http1::head::ParsedResponse;
use crate::inlet::Inlet;
use crate::outlet::Outlet;

/// How many interim responses an origin may send before the final one; a job of hours that says every
/// twenty seconds that it goes on stays below.
const MOST_INTERIM_RESPONSES: usize = 1000;

/// What the head of an origin's answer says about what follows.
#[derive(Debug, Clone, Copy)]
struct Framed {
    length: BodyLength,
    /// The connection may be used again after the body.
    keeps: bool,
}

impl Forward<'_> {
    /// Waits for the answer to a request that was sent, and passes it on. A client that goes away
    /// meanwhile is noticed at once.
    pub(super) async fn answer(
        &self,
        upload: Upload,
        up: &mut Inlet<'_>,
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(Next, Reuse), Stop> {
        let parsed = self.wait_for_head(up, inlet, outlet).await?;
        let (next, reuse) = self.relay_and_watch(parsed, up, inlet, outlet).await?;
        Ok(match upload {
            Upload::Whole => (next, reuse),
            Upload::Broken => (next, Reuse::No),
        })
    }

    /// Passes an answer on, and notices if the client goes away.
    pub(super) async fn relay_and_watch(
        &self,
        parsed: ParsedResponse,
        up: &mut Inlet<'_>,
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(Next, Reuse), Stop> {
        let framed = self.take_head(parsed, up)?;
        let keep = self.run.sizes.head_bytes;
        tokio::select! {
            biased;
            relayed = self.relay(framed, up, outlet) => Ok(relayed),
            failure = inlet.gone(keep) => {
                let verdict = failure.verdict();
                let mut state = self.run.stream.state();
                state.facts.flag = verdict.flag;
                if state.phase < Phase::ResponseSent {
                    state.response.status = verdict.status;
                }
                Ok((Next::Abort, Reuse::No))
            }
        }
    }

    /// Answers while the request body is still on its way; `upload` ends if there is a reason to
    /// stop, such as a client that has gone.
    pub(super) async fn relay_beside(
        &self,
        upload: Pin<&mut impl Future<Output = Stop>>,
        parsed: ParsedResponse,
        up: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(Next, Reuse), Stop> {
        let framed = self.take_head(parsed, up)?;
        let stop = tokio::select! {
            biased;
            relayed = self.relay(framed, up, outlet) => return Ok(relayed),
            stop = upload => stop,
        };
        let mut state = self.run.stream.state();
        if state.phase < Phase::ResponseSent {
            return Err(stop);
        }
        if let Stop::Failure(failure) = stop {
            state.facts.flag = failure.verdict().flag;
        }
        Ok((Next::Abort, Reuse::No))
    }

    /// Waits for the answer, and notices if the client goes away or a filter answers first.
    async fn wait_for_head(
        &self,
        up: &mut Inlet<'_>,
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<ParsedResponse, Stop> {
        let keep = self.run.sizes.head_bytes;
        let stopped = std::future::poll_fn(|cx| self.run.poll_stop(cx));
        tokio::select! {
            biased;
            parsed = self.head_or_interim(up, outlet) => parsed,
            stop = stopped => Err(stop),
            failure = inlet.gone(keep) => Err(failure.into()),
        }
    }

    /// The final response head; interim ones are passed on (RFC 9110 §15.2).
    pub(super) async fn head_or_interim(
        &self,
        up: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<ParsedResponse, Stop> {
        let timeouts = self.run.timeouts;
        let mut interim = 0;
        loop {
            let before = self.run.stream.moves();
            let head = up.response_head(self.run.sizes, timeouts.stream_idle);
            let mut parsed = match head.await {
                // The request is still on its way: the origin may wait for more of it.
                Err(Failure::UpstreamTimeout) if self.run.stream.moves() != before => continue,
                head => head?,
            };
            if !parsed.status.is_informational() {
                if matches!(up, Inlet::Http2(_)) {
                    upgrade::accept_on_stream(&mut self.run.stream.state(), &mut parsed);
                }
                return Ok(parsed);
            }
            interim += 1;
            if interim > MOST_INTERIM_RESPONSES {
                return Err(Failure::UpstreamProtocol.into());
            }
            self.answered.set(true);
            let mut headers = std::mem::take(&mut parsed.headers);
            match parsed.status.as_u16() {
                101 => {
                    // HTTP/2 has none (RFC 9113, 8.6), and nobody changes before it was asked.
                    let is_stream = !matches!(up, Inlet::Http1(_));
                    if is_stream || self.run.stream.state().phase < Phase::RequestSent {
                        return Err(Failure::UpstreamProtocol.into());
                    }
                    // Unless it was asked, and says to what it changes, nobody knows what follows.
                    upgrade::accept(&mut self.run.stream.state(), &headers)?;
                    parsed.headers = headers;
                    return Ok(parsed);
                }
                // We have answered the client's expectation ourselves.
                100 => continue,
                _ if self.client.version == Version::Http10 => continue,
                _ => {}
            }
            hop_by_hop::strip(&mut headers);
            headers.remove(http::header::TRANSFER_ENCODING);
            let passed = outlet.interim(parsed.status, &headers, timeouts.write_stall);
            passed
                .await
                .map_err(|_| Stop::Failure(Failure::ClientClosed))?;
        }
    }

    /// Takes the head of the origin's answer: filters and the client see it from here on.
    fn take_head(&self, mut parsed: ParsedResponse, up: &Inlet<'_>) -> Result<Framed, Stop> {
        let method = self.run.stream.state().request.method.clone();
        let framing = up.response_framing(&mut parsed, &method)?;
        let ParsedResponse {
            version,
            status,
            mut headers,
        } = parsed;
        let options = hop_by_hop::strip(&mut headers);
        let keeps = match version {
            Version::Http11 | Version::Http2 => !options.close,
            Version::Http10 => options.keep_alive,
        };
        let mut state = self.run.stream.state();
        state.response = ResponseHead { status, headers };
        if framing.length == BodyLength::Empty {
            state.note_answered();
        }
        native::on_upstream_response(&mut state);
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        if switches {
            upgrade::announce(&mut state);
        }
        // An origin that takes the bytes after such a head for the other protocol's, or for a
        // request, must not do so with another client's.
        let doubtful = state.upgrade.is_some() && self.length != BodyLength::Empty;
        Ok(Framed {
            length: framing.length,
            keeps: keeps && !framing.must_close && !switches && !doubtful,
        })
    }

    /// Passes the origin's answer on, whose head was taken.
    async fn relay(
        &self,
        framed: Framed,
        up: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> (Next, Reuse) {
        up.begin_body(framed.length, self.run.sizes);
        let respond = Respond {
            run: self.run,
            client: self.client,
            door: self.door,
        };
        let source = Source::Peer(up.lend());
        let next = respond.upstream(outlet, source, framed.length).await;
        let reusable = framed.keeps && up.is_done();
        (next, if reusable { Reuse::Yes } else { Reuse::No })
    }
}
