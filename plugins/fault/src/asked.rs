//! Faults that a request asks for with the headers that Envoy has for it.

use std::time::Duration;

use tidegate_sdk::attempts::Outage;
use tidegate_sdk::prelude::*;

const ABORT: &str = "x-envoy-fault-abort-request";
const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";
const ABORT_PERCENTAGE: &str = "x-envoy-fault-abort-request-percentage";
const DELAY: &str = "x-envoy-fault-delay-request";
const DELAY_PERCENTAGE: &str = "x-envoy-fault-delay-request-percentage";
const THROUGHPUT: &str = "x-envoy-fault-throughput-response";
const THROUGHPUT_PERCENTAGE: &str = "x-envoy-fault-throughput-response-percentage";

/// All of them.
const NAMES: [&str; 7] = [
    ABORT,
    ABORT_GRPC,
    ABORT_PERCENTAGE,
    DELAY,
    DELAY_PERCENTAGE,
    THROUGHPUT,
    THROUGHPUT_PERCENTAGE,
];

/// The longest delay that a request can ask for.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a request asks for, each with its chance in percent.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) abort: Option<(Outage, f64)>,
    pub(crate) delay: Option<(Duration, f64)>,
    /// Bytes in a second.
    pub(crate) rate: Option<(u64, f64)>,
}

impl Asked {
    /// Reads the headers. What means nothing there is as if it were not there.
    pub(crate) fn of(req: &Request) -> Self {
        Self::from(|name: &str| req.header(name))
    }

    fn from(header: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| header(name)?.trim().parse::<u64>().ok();
        let chance = |name: &str| {
            let said = header(name).and_then(|it| it.trim().parse::<f64>().ok());
            said.filter(|it| *it >= 0.0).unwrap_or(100.0)
        };
        let http = || {
            let status = u16::try_from(number(ABORT)?).ok()?;
            (200..600).contains(&status).then_some(Outage::Http(status))
        };
        let grpc = || {
            let status = u8::try_from(number(ABORT_GRPC)?).ok()?;
            (status <= 16).then_some(Outage::Grpc(status))
        };
        let outage = http().or_else(grpc);
        let delay = number(DELAY).filter(|it| *it > 0);
        let delay = delay.map(|it| Duration::from_millis(it).min(LONGEST));
        let rate = number(THROUGHPUT).filter(|it| *it > 0);
        Self {
            rate: rate.map(|it| (it.saturating_mul(1024), chance(THROUGHPUT_PERCENTAGE))),
            abort: outage.map(|it| (it, chance(ABORT_PERCENTAGE))),
            delay: delay.map(|it| (it, chance(DELAY_PERCENTAGE))),
        }
    }
}

/// Takes out what a request asks for and may not have.
pub(crate) fn remove(req: &mut Request) {
    for name in NAMES {
        if req.headers().get_bytes(name).is_some() {
            req.headers_mut().remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_sdk::attempts::Outage;

    use super::Asked;

    fn asked(headers: &[(&str, &str)]) -> Asked {
        Asked::from(|wanted| {
            let found = headers
                .iter()
                .find(|(name, _)| wanted == format!("x-envoy-fault-{name}"));
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn statuses_delays_and_chances_are_read() {
        let all = [
            ("abort-request", "503"),
            ("abort-grpc-request", "14"),
            ("abort-request-percentage", "2.5"),
            ("delay-request", "1500"),
            ("delay-request-percentage", "30"),
            ("throughput-response", "5"),
            ("throughput-response-percentage", "0.5"),
        ];
        let expected = Asked {
            abort: Some((Outage::Http(503), 2.5)),
            delay: Some((Duration::from_millis(1500), 30.0)),
            rate: Some((5 * 1024, 0.5)),
        };
        assert_eq!(asked(&all), expected);
        let grpc = asked(&[("abort-grpc-request", "8")]);
        assert_eq!(grpc.abort, Some((Outage::Grpc(8), 100.0)));
    }

    #[test]
    fn what_means_nothing_asks_for_nothing() {
        for value in ["", "x", "-1", "199", "600", "1e3", "99999999999999999999"] {
            assert_eq!(asked(&[("abort-request", value)]), Asked::default());
        }
        for value in ["", "x", "-1", "0", "1s", "99999999999999999999"] {
            assert_eq!(asked(&[("delay-request", value)]), Asked::default());
            let rate = [("throughput-response", value)];
            assert_eq!(asked(&rate), Asked::default());
        }
        for value in ["", "x", "17", "256"] {
            assert_eq!(asked(&[("abort-grpc-request", value)]), Asked::default());
        }
        assert_eq!(
            asked(&[("abort-request-percentage", "50")]),
            Asked::default()
        );
        // A chance that is none is as if it were not said.
        for chance in ["", "x", "-1", "NaN"] {
            let headers = [
                ("abort-request", "503"),
                ("abort-request-percentage", chance),
            ];
            assert_eq!(asked(&headers).abort, Some((Outage::Http(503), 100.0)));
        }
    }

    #[test]
    fn a_delay_is_an_hour_at_most() {
        let long = asked(&[("delay-request", "18446744073709551615")]);
        assert_eq!(long.delay, Some((Duration::from_secs(3600), 100.0)));
    }
}
