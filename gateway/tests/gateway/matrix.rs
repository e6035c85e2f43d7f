//! The matrix: what the probe filter gets from Tidegate is what it gets from Envoy 1.40.
//!
//! The same module and the same requests go to both. What came of them (statuses, values, order of
//! callbacks, what client and origin got) is compared with what Envoy said, which is kept beside
//! the cases in `tests/matrix`; how one is written is in [`cases`]. A case may name a difference and
//! its reason; then Tidegate's own outcome is kept too, and must not be Envoy's.
//!
//! Areas about messages are replayed with HTTP/2 on either side too: see [`legs`].
//!
//! With peers, `TIDEGATE_BLESS=1` writes down what Envoy says now, and what Tidegate says in cases
//! with a difference.

#[path = "matrix/canon.rs"]
mod canon;
#[path = "matrix/cases.rs"]
pub(crate) mod cases;
#[path = "matrix/golden.rs"]
mod golden;
#[path = "matrix/hosts.rs"]
mod hosts;
#[path = "matrix/legs.rs"]
pub(crate) mod legs;
#[path = "matrix/replay.rs"]
mod replay;
#[path = "matrix/sites.rs"]
mod sites;
#[path = "matrix/streams.rs"]
mod streams;

use std::collections::BTreeSet;

use tidegate_testkit::Envoy;

use legs::Leg;

macro_rules! areas {
    ($($area:ident)+) => {
        /// The files of cases that are replayed.
        const AREAS: &[&str] = &[$(stringify!($area)),+];

        $(
            mod $area {
                #[test]
                fn behaves_on_tidegate_as_on_envoy() {
                    super::tidegate(stringify!($area), super::Leg::Http1);
                }

                #[test]
                fn behaves_on_envoy_as_written_down() {
                    super::envoy(stringify!($area), super::Leg::Http1);
                }
            }
        )+
    };
}

areas! {
    abi_0_1
    bodies
    calls
    contexts
    foreign
    grpc
    header_edits
    headers
    limits
    local_replies
    metrics
    misc
    names
    pause
    pointers
    properties
    queues
    routes
    shared_data
    start
    start_calls
    strict
    ticks
    wasi
}

/// The areas that are about messages, and so are replayed with HTTP/2 too.
macro_rules! http2_areas {
    ($($area:ident)+) => {
        mod http2 {
            $(
                mod $area {
                    use crate::matrix::Leg;

                    #[test]
                    fn with_a_client_of_http2_it_is_on_tidegate_as_on_envoy() {
                        crate::matrix::tidegate(stringify!($area), Leg::Http2Client);
                    }

                    #[test]
                    fn with_a_client_of_http2_it_is_on_envoy_as_written_down() {
                        crate::matrix::envoy(stringify!($area), Leg::Http2Client);
                    }

                    #[test]
                    fn with_origins_of_http2_it_is_on_tidegate_as_on_envoy() {
                        crate::matrix::tidegate(stringify!($area), Leg::Http2Origin);
                    }

                    #[test]
                    fn with_origins_of_http2_it_is_on_envoy_as_written_down() {
                        crate::matrix::envoy(stringify!($area), Leg::Http2Origin);
                    }
                }
            )+
        }
    };
}

http2_areas! {
    bodies
    calls
    contexts
    header_edits
    headers
    limits
    local_replies
    pause
    properties
    routes
}

#[test]
fn every_area_is_replayed() {
    let replayed: BTreeSet<String> = AREAS.iter().map(|area| (*area).to_owned()).collect();
    assert_eq!(cases::areas(), replayed);
}

/// Replays an area on Tidegate.
#[track_caller]
fn tidegate(area: &str, leg: Leg) {
    let area = cases::Area::read(area);
    let peers = hosts::Peers::start(leg);
    let gateway = hosts::tidegate(&area, &peers);
    let found = replay::area(&area, leg, gateway.address(), &peers);
    golden::tidegate(&area, leg, &found);
}

/// Replays an area on Envoy, if it is wanted.
#[track_caller]
fn envoy(area: &str, leg: Leg) {
    if !Envoy::wanted() {
        return;
    }
    let area = cases::Area::read(area);
    let peers = hosts::Peers::start(leg);
    let envoy = Envoy::start(&hosts::envoy_config(&area, &peers));
    let found = replay::area(&area, leg, envoy.address(), &peers);
    golden::envoy(&area, leg, &found);
}
