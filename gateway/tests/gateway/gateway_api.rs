//! The conformance cases of the Gateway API for Gateway and HTTPRoute, in our own words: each file of
//! `tests/conformance` is replayed against a gateway that loads its resources, over real sockets.
//!
//! The cases are data; how one is written is in [`cases`]. What comes of them is the table of
//! docs/gateway-api.md, which is written anew with `TIDEGATE_BLESS=1`.

#[path = "gateway_api/cases.rs"]
mod cases;
#[path = "gateway_api/replay.rs"]
mod replay;
#[path = "gateway_api/shares.rs"]
mod shares;
#[path = "gateway_api/table.rs"]
mod table;

use std::collections::BTreeSet;

use replay::replay;

macro_rules! replayed {
    ($($test:ident: $file:literal;)+) => {
        /// The files that are replayed.
        const FILES: &[&str] = &[$($file),+];

        $(
            #[test]
            fn $test() {
                replay($file);
            }
        )+
    };
}

replayed! {
    backends: "backends";
    conditions: "conditions";
    cors: "cors";
    gateways: "gateways";
    headers: "headers";
    hostnames: "hostnames";
    listeners: "listeners";
    matching: "matching";
    mirrors: "mirrors";
    not_yet: "not_yet";
    paths: "paths";
    redirects: "redirects";
    references: "references";
    rewrites: "rewrites";
    simple: "simple";
    timeouts: "timeouts";
    weights: "weights";
}

#[test]
fn every_file_of_cases_is_replayed() {
    let replayed: BTreeSet<String> = FILES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(cases::files(), replayed);
}
