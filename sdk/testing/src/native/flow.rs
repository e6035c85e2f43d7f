//! Messages on their way through the filter.
//!
//! A filter that holds sees everything it has held so far each time more comes; what it lets pass
//! is never shown to it again.

use tidegate_sdk_sys::Action;

use crate::native::state::{BUFFER_LIMIT, Hold, Item, Stream, Way};
use crate::native::{Event, Native, PAUSE_LIMIT};

impl Native {
    /// Moves whatever can move; false if nothing can.
    pub(super) fn pump(&mut self) -> bool {
        let contexts: Vec<u32> = self.world.state().streams.keys().copied().collect();
        let mut moved = false;
        for context in contexts {
            while self.move_one(context) {
                moved = true;
            }
        }
        moved
    }

    /// Does one thing about a stream.
    fn move_one(&mut self, context: u32) -> bool {
        if self.do_wishes(context) {
            return true;
        }
        self.step(context, Way::Request) || self.step(context, Way::Response)
    }

    /// What the filter asked for about the stream as a whole.
    fn do_wishes(&mut self, context: u32) -> bool {
        let (closed, local) = {
            let mut state = self.world.state();
            let Some(stream) = state.streams.get_mut(&context) else {
                return false;
            };
            (std::mem::take(&mut stream.closed), stream.local.take())
        };
        if closed {
            self.cut(context);
            return true;
        }
        match local {
            Some(local) => {
                self.answer_here(context, local);
                true
            }
            None => false,
        }
    }

    /// Changes a stream.
    pub(super) fn with_stream<T>(
        &self,
        context: u32,
        change: impl FnOnce(&mut Stream) -> T,
    ) -> Option<T> {
        self.world.state().streams.get_mut(&context).map(change)
    }

    /// Lets one direction go on by one part, if it can.
    fn step(&mut self, context: u32, way: Way) -> bool {
        let Some((hold, resumed)) = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            // Resuming what is not held does nothing, also not later.
            (side.hold, std::mem::take(&mut side.resume))
        }) else {
            return false;
        };
        if resumed && hold != Hold::No {
            self.release(context, way, hold);
            return true;
        }
        if matches!(hold, Hold::Headers | Hold::Trailers | Hold::Watermark) {
            return false;
        }
        let next = self.with_stream(context, |stream| {
            let waits = way == Way::Request && stream.delayed;
            let incoming = &mut stream.side_mut(way).incoming;
            if waits { None } else { incoming.pop_front() }
        });
        match next.flatten() {
            Some(item) => {
                self.deliver(context, way, item);
                true
            }
            None => false,
        }
    }

    /// Shows the filter a part of a message.
    fn deliver(&mut self, context: u32, way: Way, item: Item) {
        match item {
            Item::Headers { end } => self.deliver_headers(context, way, end),
            Item::Data { bytes, end } => self.deliver_data(context, way, &bytes, end),
            Item::Trailers(trailers) => {
                self.with_stream(context, |stream| {
                    let side = stream.side_mut(way);
                    side.trailers = Some(trailers);
                    side.end_shown = true;
                });
                self.deliver_trailers(context, way);
            }
            Item::Cut => self.sender_left(context, way),
        }
    }

    fn deliver_headers(&mut self, context: u32, way: Way, end: bool) {
        let count = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            side.begun = true;
            side.ends_with_headers = end;
            side.headers.len()
        });
        let count = count.unwrap_or_default();
        let network = self.plan.network;
        let action = self.call(context, |guest| match way {
            _ if network => guest.on_new_connection(context),
            Way::Request => guest.on_request_headers(context, count, end),
            Way::Response => guest.on_response_headers(context, count, end),
        });
        let hold = match end {
            false if self.plan.stop_iteration && !network => Hold::HeadersOfBody,
            _ => Hold::Headers,
        };
        self.decide(context, way, action, hold);
    }

    fn deliver_data(&mut self, context: u32, way: Way, bytes: &[u8], end: bool) {
        let size = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            side.body.extend_from_slice(bytes);
            side.body_visible = true;
            side.end_shown |= end;
            side.body.len()
        });
        let size = size.unwrap_or_default();
        let network = self.plan.network;
        let action = self.call(context, |guest| match way {
            Way::Request if network => guest.on_downstream_data(context, size, end),
            Way::Response if network => guest.on_upstream_data(context, size, end),
            Way::Request => guest.on_request_body(context, size, end),
            Way::Response => guest.on_response_body(context, size, end),
        });
        self.decide(context, way, action, Hold::Body);
    }

    fn deliver_trailers(&mut self, context: u32, way: Way) {
        let count = self.with_stream(context, |stream| {
            let trailers = stream.side(way).trailers.as_ref();
            trailers.map_or(0, Vec::len)
        });
        let count = count.unwrap_or_default();
        let action = self.call(context, |guest| match way {
            Way::Request => guest.on_request_trailers(context, count),
            Way::Response => guest.on_response_trailers(context, count),
        });
        self.decide(context, way, action, Hold::Trailers);
    }

    /// Does what a callback has answered.
    fn decide(&mut self, context: u32, way: Way, action: Option<Action>, hold: Hold) {
        let wishes = self.with_stream(context, |stream| {
            let resumed = std::mem::take(&mut stream.side_mut(way).resume);
            (stream.closed || stream.local.is_some(), resumed)
        });
        // Whoever has answered or closed the stream decides nothing else.
        let Some((false, resumed)) = wishes else {
            return;
        };
        if resumed && action == Some(Action::Continue) {
            let why = "the filter resumes what its callback lets go on: that ends Envoy";
            self.seen.with(|seen| seen.broken = Some(why.to_owned()));
        }
        match action {
            Some(Action::Pause) if !resumed => self.hold(context, way, hold),
            Some(Action::Watermark) if !resumed => self.hold(context, way, Hold::Watermark),
            Some(_) => self.release(context, way, hold),
            None => {}
        }
    }

    fn hold(&mut self, context: u32, way: Way, hold: Hold) {
        let network = self.plan.network;
        let held = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            side.hold = hold;
            side.holds += 1;
            // The end of a body that is collected is up to its sender.
            let waits_for_sender = matches!(hold, Hold::Body | Hold::HeadersOfBody);
            let limited = !waits_for_sender || side.end_shown || network;
            // Of a connection that is full nothing more is read.
            let overflow = side.body.len() > BUFFER_LIMIT && !network;
            (side.holds, limited, overflow)
        });
        let Some((number, limited, overflow)) = held else {
            return;
        };
        if overflow {
            let status = match way {
                Way::Request => 413,
                Way::Response => 500,
            };
            self.host_answers(context, status);
        } else if limited {
            let event = Event::PauseEnds {
                context,
                way,
                hold: number,
            };
            self.plan_event(PAUSE_LIMIT, event);
        }
    }

    /// Lets go on what was held, or what was just shown.
    fn release(&mut self, context: u32, way: Way, hold: Hold) {
        let released = self.with_stream(context, |stream| {
            let side = stream.side_mut(way);
            side.hold = Hold::No;
            side.body_visible = false;
            let body = std::mem::take(&mut side.body);
            let ended = side.end_shown && hold != Hold::HeadersOfBody;
            let trailers = match (hold, side.made_trailers && ended) {
                (Hold::Trailers, _) | (_, true) => side.trailers.clone(),
                _ => None,
            };
            (body, ended || side.ends_with_headers, trailers)
        });
        let Some((body, ended, trailers)) = released else {
            return;
        };
        let only_headers = matches!(hold, Hold::Headers | Hold::HeadersOfBody);
        self.forward_headers(context, way, only_headers && ended);
        if only_headers {
            return;
        }
        if !body.is_empty() || (ended && trailers.is_none()) {
            self.forward_data(context, way, &body, ended && trailers.is_none());
        }
        if let Some(trailers) = trailers {
            self.forward_trailers(context, way, &trailers);
        }
    }
}
