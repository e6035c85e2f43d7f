//! `tidegate plugin host`: one module behind one listener on a free port of this machine, for the
//! tests of filters. Orders come as lines of JSON on standard input, what happens goes out as lines
//! of JSON on standard output.
//!
//! Time is moved on by an order, and attributes are set by one: it is no gateway that serves.

mod orders;
mod serve;

use std::io::BufRead as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context as _;

use crate::author::host::orders::Event;
use crate::author::host::orders::Order;
use crate::author::host::serve::Hosted;
use crate::cli::HostArgs;

/// Obeys until there are no more orders.
///
/// # Errors
///
/// If standard input cannot be read.
pub(crate) fn run(args: &HostArgs) -> anyhow::Result<()> {
    let out = Out::default();
    let mut hosted: Option<Hosted> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read orders")?;
        let event = match serde_json::from_str(&line) {
            Ok(order) => obey(args, &mut hosted, order, &out),
            Err(err) => Event::Wrong {
                why: format!("not an order: {err}"),
            },
        };
        let last = matches!(event, Event::Stopped);
        out.say(&event);
        if last {
            break;
        }
    }
    Ok(())
}

fn obey(args: &HostArgs, hosted: &mut Option<Hosted>, order: Order, out: &Out) -> Event {
    let order = match order {
        Order::Start(plan) => {
            return match Hosted::start(args, *plan, out) {
                Ok(started) => {
                    let address = started.address();
                    *hosted = Some(started);
                    Event::Listening { address }
                }
                Err(err) => Event::Refused {
                    why: format!("{err:#}"),
                },
            };
        }
        Order::Stop => {
            *hosted = None;
            return Event::Stopped;
        }
        order => order,
    };
    let Some(hosted) = hosted else {
        return Event::Wrong {
            why: "nothing is started".to_owned(),
        };
    };
    match order {
        Order::Advance { ms } => {
            hosted.advance(Duration::from_millis(ms));
            Event::Done
        }
        Order::Property { path, value } => {
            hosted.set_property(&path, value);
            Event::Done
        }
        Order::Metrics => Event::Metrics {
            values: hosted.metrics(),
        },
        Order::Streams => Event::Streams {
            count: hosted.streams(),
        },
        Order::Shared { key } => Event::Shared {
            value: hosted.shared(&key),
        },
        Order::Start(_) | Order::Stop => Event::Done,
    }
}

/// Standard output: whole lines, from any thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Out(Arc<Mutex<()>>);

impl Out {
    fn say(&self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        let _alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        // Whoever listened has gone: the end of orders comes next.
        out.write_all(&line).and_then(|()| out.flush()).ok();
    }
}
