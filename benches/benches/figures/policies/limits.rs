//! Figures of rate limits: one that admits, alone, and while another worker asks for the same key all the
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tidegate_benches::fake_host::{FakeStream, SilentServices};
use tidegate_host_abi::Plugin;

use super::{REQUEST, note, warm};
use crate::guests::{Guest, built, configured};
use crate::report::Report;

const MOST: Option<f64> = Some(2.0);

/// All of them.
pub(super) fn passes(report: &mut Report) {
    let names = [
        "rate-limit, by address",
        "the same, with another worker on the same key",
    ];
    let Some(bytes) = built("rate-limit") else {
        for name in names {
            note(report, name, None, MOST);
        }
        return;
    };
    let plugin = |limit: &str| {
        let config = format!(r#"{{"limits":[{{"key":["clientIp"],{limit}}}]}}"#);
        configured("rate-limit", &bytes, config)
    };
    let mut narrow = start(&plugin(r#""requests":1,"window":"24h""#));
    narrow.patient_exchange();
    assert!(narrow.stream.refusal().is_some(), "it refuses nothing");
    let wide = plugin(r#""requests":100000000,"window":"1s""#);
    let [alone, together] = names;
    let pass = warm(report, start(&wide));
    note(report, alone, Some(pass), MOST);
    let (measured, mut other) = (start(&wide), start(&wide));
    let over = AtomicBool::new(false);
    let pass = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                other.stream.restore();
                other.exchange();
            }
        });
        let pass = warm(report, measured);
        over.store(true, Ordering::Relaxed);
        pass
    });
    note(report, together, Some(pass), MOST);
}

fn start(plugin: &Arc<Plugin>) -> Guest {
    let stream = FakeStream::with_request(&REQUEST);
    let mut guest = Guest::serving(plugin, SilentServices::default(), stream);
    guest.patient_exchange();
    assert_eq!(guest.stream.refusal(), None, "it admits");
    guest.stream.restore();
    guest
}
