//! What there is to see: for each thing a sentence, an edit of the
//! configuration if it takes one, the curl line, and what must come back.
//!
//! The page prints this list and `--check` performs it, so that they cannot disagree.

use std::time::Duration;

use crate::config::{Edit, GATEWAY, TRAFFIC};
use crate::curl::Curl;

/// One thing to see.
#[derive(Debug)]
pub(crate) struct Step {
    /// What it is, in one line.
    pub(crate) what: &'static str,
    /// What is changed in the configuration before.
    pub(crate) edits: &'static [Edit],
    /// What else is done before.
    pub(crate) act: Option<Act>,
    /// Who shows it.
    pub(crate) door: Door,
    /// How to see it.
    pub(crate) curl: Curl,
    /// What must come back.
    pub(crate) expected: &'static [Expected],
}

/// Something that is done beside an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// So many users, each called by a number in `x-user`, ask for this path.
    Crowd(u32, &'static str),
    /// This module is pushed to the registry under the tag that is followed, and the gateway is told to
    /// look.
    Push(&'static str),
    /// The registry answers nobody any more. Only the check does that: nobody can type it.
    StopRegistry,
}

/// The module that the tag leads to at the start.
pub(crate) const FIRST_MODULE: &str = "hello-filter.wasm";

/// What makes the gateway look at tags at once.
pub(crate) const RELOAD: Curl = curl(&["-s", "-X", "POST"], "/reload");

/// Which address of the gateway is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Where it listens.
    Traffic,
    /// Where it listens for TLS.
    Secure,
    /// Its admin API.
    Admin,
}

/// One thing that must be true of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// It has this status.
    Status(u16),
    /// It has this header field.
    Header(&'static str, &'static str),
    /// It has this header field, with this text in its value.
    HeaderHas(&'static str, &'static str),
    /// It has no such header field.
    NoHeader(&'static str),
    /// Its body begins so.
    BodyBegins(&'static str),
    /// Its body has this somewhere.
    BodyHas(&'static str),
    /// Its body is JSON with this text in this place.
    Text(&'static str, &'static str),
    /// Its body is JSON in which this place is true.
    True(&'static str),
    /// Its body is JSON that has nothing in this place.
    Nothing(&'static str),
    /// Its body came bit by bit, for at least so long.
    Streamed(Duration),
    /// The access log gets a line with this text.
    Logged(&'static str),
    /// The gateway's own log gets a line with this text.
    Said(&'static str),
}

use Expected::{
    BodyBegins, BodyHas, Header, HeaderHas, Logged, NoHeader, Nothing, Said, Status, Streamed,
    Text, True,
};

/// Tokens of examples/auth, which are good until 2100.
const ADA: &str = concat!("authorization: Bearer ", include_str!("../../auth/ada.jwt"));
const GRACE: &str = concat!(
    "authorization: Bearer ",
    include_str!("../../auth/grace.jwt")
);

/// Everything there is to see, in the order of the page.
pub(crate) static STEPS: &[Step] = &[
    see(
        "No filter on this path: the gateway alone adds x-request-id and x-forwarded-*",
        curl(&["-i"], "/pears"),
        &[
            Status(200),
            Header("x-powered-by", "pears"),
            NoHeader("x-hello-filter"),
            Text("/backend", "pears"),
            Text("/headers/x-forwarded-for", "127.0.0.1"),
            Nothing("/headers/x-hello"),
            Nothing("/filtered"),
        ],
    ),
    see(
        "Elsewhere there is one: x-hello for the backend, x-hello-filter for you, no x-powered-by",
        curl(&["-i"], "/"),
        &[
            Status(200),
            Header("x-hello-filter", "1.0"),
            NoHeader("x-powered-by"),
            Text("/backend", "apples"),
            Text("/headers/x-hello", "ahoy"),
            Text("/headers/x-forwarded-for", "127.0.0.1"),
        ],
    ),
    see(
        "A path that the filter forbids",
        curl(&["-i"], "/forbidden?please"),
        &[
            Status(403),
            Header("x-denied-by", "hello-filter"),
            BodyBegins("forbidden by hello-filter"),
        ],
    ),
    see(
        "An answer by the filter itself: it counts, in data that all workers share",
        curl(&[], "/hello"),
        &[Status(200), BodyBegins("hello number ")],
    ),
    see(
        "JSON rewritten both ways: \"seen_by\" in the body sent, \"filtered\" in the answer",
        curl(
            &[
                "-H",
                "content-type: application/json",
                "-d",
                r#"{"fruit":"apple"}"#,
            ],
            "/echo",
        ),
        &[
            Status(200),
            Text("/method", "POST"),
            Text("/body/fruit", "apple"),
            Text("/body/seen_by", "hello-filter"),
            True("/filtered"),
        ],
    ),
    see(
        "A question to another backend: the auth server does not know you",
        curl(&["-i"], "/authorized"),
        &[Status(401), Text("/error", "unauthorized")],
    ),
    see(
        "With its token it does, and apples learns who you are (x-auth-user)",
        curl(
            &["-i", "-H", "authorization: Bearer demo-token"],
            "/authorized",
        ),
        &[
            Status(200),
            Text("/backend", "apples"),
            Text("/headers/x-auth-user", "ada"),
        ],
    ),
    see(
        "Policies that come with the gateway: without a token, 401 says what is missing",
        curl(&["-i"], "/account"),
        &[
            Status(401),
            Header("www-authenticate", "Bearer realm=\"restricted\""),
        ],
    ),
    see(
        "With Ada's token the backend learns who she is, whatever the client says of that",
        curl(&["-i", "-H", ADA, "-H", "x-user: root"], "/account"),
        &[
            Status(200),
            Text("/backend", "apples"),
            Text("/headers/x-user", "ada"),
            Nothing("/headers/authorization"),
        ],
    ),
    see(
        "By rule Ada may read and not write; the access log names the rule",
        curl(&["-i", "-X", "POST", "-H", ADA], "/account"),
        &[
            Status(403),
            BodyBegins("RBAC: access denied"),
            Logged("rbac_access_denied_matched_policy[none]"),
        ],
    ),
    see(
        "Grace is one of the admins",
        curl(&["-i", "-X", "POST", "-H", GRACE], "/account"),
        &[Status(200), Text("/headers/x-user", "grace")],
    ),
    see(
        "Programs have keys, of which the configuration knows the hashes",
        curl(&["-i", "-H", "x-api-key: k-3f9c8e"], "/partners"),
        &[
            Status(200),
            Text("/headers/x-consumer", "mobile-app"),
            Nothing("/headers/x-api-key"),
        ],
    ),
    see(
        "A limit: one export in a minute for each user; the answer says what is left of it",
        curl(&["-i", "-H", "x-user: ada"], "/export"),
        &[
            Status(200),
            Header("ratelimit-policy", "\"exports\";q=1;w=60"),
            HeaderHas("ratelimit", "\"exports\";r=0"),
        ],
    ),
    see(
        "Again: 429, with when to come back; others are not held up",
        curl(&["-i", "-H", "x-user: ada"], "/export"),
        &[
            Status(429),
            HeaderHas("retry-after", ""),
            Logged("rate_limited"),
        ],
    ),
    see(
        "A drill: who knows the word makes this request fail, and the access log says that",
        curl(
            &[
                "-i",
                "-H",
                "x-drill: lifeboat",
                "-H",
                "x-envoy-fault-abort-request: 503",
            ],
            "/drill",
        ),
        &[
            Status(503),
            BodyBegins("fault filter abort"),
            Logged("fault_filter_abort"),
        ],
    ),
    see(
        "Who does not know it cannot, and the backend never sees the header",
        curl(&["-i", "-H", "x-envoy-fault-abort-request: 503"], "/drill"),
        &[
            Status(200),
            Text("/backend", "apples"),
            Nothing("/headers/x-envoy-fault-abort-request"),
        ],
    ),
    see(
        "A new version, pears, for 5 % of the users: Tim is one of them ...",
        curl(&["-i", "-H", "x-user: tim"], "/shop"),
        &[
            Status(200),
            Header("x-version", "canary"),
            Text("/backend", "pears"),
        ],
    ),
    see(
        "... and Alan is not",
        curl(&["-i", "-H", "x-user: alan"], "/shop"),
        &[
            Status(200),
            Header("x-version", "stable"),
            Text("/backend", "apples"),
        ],
    ),
    see(
        "Streaming: five lines, 200 ms apart, none held back",
        curl(&["-N"], "/slow"),
        &[
            Status(200),
            Header("x-hello-filter", "1.0"),
            BodyBegins("1 of 5 from apples\n2 of 5 from apples\n"),
            // Four gaps of 200 ms, with room for a busy machine that starts late.
            Streamed(Duration::from_millis(600)),
        ],
    ),
    Step {
        what: "The same over HTTPS, with a certificate that was made when this demo started",
        edits: &[],
        act: None,
        door: Door::Secure,
        curl: curl(&["-i"], "/pears"),
        expected: &[
            Status(200),
            Text("/backend", "pears"),
            Text("/headers/x-forwarded-proto", "https"),
        ],
    },
    see(
        "The access log, below: one line per request",
        curl(&["-s"], "/look-below"),
        &[Status(200), Logged("/look-below")],
    ),
    Step {
        what: "Change what the filter is told, and save: served at once, and no request fails",
        edits: &[Edit {
            file: GATEWAY,
            from: "greeting: ahoy",
            to: "greeting: moin",
        }],
        act: None,
        door: Door::Traffic,
        curl: curl(&["-s"], "/"),
        expected: &[
            Status(200),
            Text("/headers/x-hello", "moin"),
            Said("generation 2 serves"),
        ],
    },
    Step {
        what: "Two mistakes, one of which only the filter can see: refused; the log says why, and this",
        edits: &[
            Edit {
                file: GATEWAY,
                from: "value: /pears",
                to: "vale: /fruit",
            },
            Edit {
                file: GATEWAY,
                from: "greeting: moin",
                to: "greting: servus",
            },
        ],
        act: None,
        door: Door::Admin,
        curl: curl(&["-s"], "/resources"),
        expected: &[
            Status(200),
            BodyHas("\"lastGood\": true"),
            BodyHas("`path` has no field `vale`"),
            BodyHas("it refused its configuration"),
            // The log has them too, with line and column.
            Said("gateway.yaml:18:"),
            Said("gateway.yaml:31:"),
        ],
    },
    see(
        "Meanwhile everything is as it was: the route ...",
        curl(&["-s"], "/pears"),
        &[
            Status(200),
            NoHeader("x-hello-filter"),
            Text("/backend", "pears"),
        ],
    ),
    see(
        "... and the filter",
        curl(&["-s"], "/"),
        &[Status(200), Text("/headers/x-hello", "moin")],
    ),
    Step {
        what: "Repaired: both changes are there, /fruit leads to pears ...",
        edits: &[
            Edit {
                file: GATEWAY,
                from: "vale: /fruit",
                to: "value: /fruit",
            },
            Edit {
                file: GATEWAY,
                from: "greting: servus",
                to: "greeting: servus",
            },
        ],
        act: None,
        door: Door::Traffic,
        curl: curl(&["-s"], "/fruit"),
        expected: &[Status(200), Text("/backend", "pears")],
    },
    see(
        "... and the filter says so",
        curl(&["-s"], "/"),
        &[Status(200), Text("/headers/x-hello", "servus")],
    ),
    Step {
        what: "The new version for 25 %, while traffic flows: now Alan has it ...",
        edits: &[Edit {
            file: TRAFFIC,
            from: "weight: 5",
            to: "weight: 25",
        }],
        act: None,
        door: Door::Traffic,
        curl: curl(&["-i", "-H", "x-user: alan"], "/shop"),
        expected: &[
            Status(200),
            Header("x-version", "canary"),
            Text("/backend", "pears"),
        ],
    },
    see(
        "... and Tim still does: who has the new version never goes back",
        curl(&["-i", "-H", "x-user: tim"], "/shop"),
        &[Status(200), Text("/backend", "pears")],
    ),
    Step {
        what: "A filter's change for half of the users first, and with a slip: Tim is refused ...",
        edits: &[Edit {
            file: TRAFFIC,
            from: "# rollout",
            to: "rollout",
        }],
        act: None,
        door: Door::Traffic,
        curl: curl(&["-i", "-H", "x-user: tim"], "/news"),
        expected: &[
            Status(403),
            Said("rollout of plugin default/blocked: begins, the canary gets 50 % of the streams"),
        ],
    },
    see(
        "... and Alan is not",
        curl(&["-i", "-H", "x-user: alan"], "/news"),
        &[Status(200), Text("/backend", "apples")],
    ),
    Step {
        what: "Many ask: the gateway sees that it refuses too many, and takes it back by itself",
        edits: &[],
        act: Some(Act::Crowd(1000, "/news")),
        door: Door::Traffic,
        curl: curl(&["-i", "-H", "x-user: tim"], "/news"),
        expected: &[
            Status(200),
            Text("/backend", "apples"),
            Said("rollout of plugin default/blocked: aborted"),
        ],
    },
    ask(
        "What spoke against it, with numbers; it does not come back until it is changed",
        curl(&["-s"], "/plugins"),
        &[
            Status(200),
            BodyHas("\"phase\": \"Aborted\""),
            BodyHas("denyRateDelta: denied "),
        ],
    ),
    see(
        "All that left the counts alone: Ada's export is still used up",
        curl(&["-s", "-H", "x-user: ada"], "/export"),
        &[Status(429)],
    ),
    see(
        "A filter out of a registry: it was pulled beside the traffic, and is kept on disk",
        curl(&["-i"], "/pulled"),
        &[
            Status(200),
            Header("x-hello-filter", "1.0"),
            Text("/backend", "apples"),
        ],
    ),
    ask(
        "What is wanted, and what is here: image, module, layout, when it was asked for last",
        curl(&["-s"], "/plugins"),
        &[
            Status(200),
            BodyHas("tidegate-demo/filter:demo"),
            BodyHas("\"state\": \"Pulled\""),
            BodyHas("\"layout\": \"compat\""),
        ],
    ),
    Step {
        what: "Another module under the same tag: swapped in, and no request fails",
        edits: &[],
        act: Some(Act::Push("set-headers-sdk.wasm")),
        door: Door::Traffic,
        curl: curl(&["-i"], "/pulled"),
        expected: &[
            Status(200),
            Header("x-bench", "response"),
            NoHeader("x-hello-filter"),
            Said("tidegate-demo/filter:demo (sha256:"),
        ],
    },
    Step {
        what: "The registry is gone: what was pulled serves on, and this says why",
        edits: &[],
        act: Some(Act::StopRegistry),
        door: Door::Admin,
        curl: curl(&["-s"], "/ready"),
        expected: &[
            Status(200),
            BodyBegins("ready"),
            BodyHas("serves as it was pulled last"),
        ],
    },
    Step {
        what: "Without its registry the filter is what it was",
        edits: &[],
        act: Some(Act::StopRegistry),
        door: Door::Traffic,
        curl: curl(&["-i"], "/pulled"),
        expected: &[Status(200), Header("x-bench", "response")],
    },
    ask(
        "For load balancers: may traffic come?",
        curl(&["-i"], "/ready"),
        &[Status(200), BodyBegins("ready")],
    ),
    ask(
        "What serves now; secrets and what filters are told are left out",
        curl(&["-s"], "/config_dump"),
        &[
            Status(200),
            BodyHas("\"name\": \"default/hello\""),
            BodyHas("default/pears"),
        ],
    ),
    ask(
        "Numbers for Prometheus: requests, generation, how the last reload went",
        curl(&["-s"], "/metrics"),
        &[
            Status(200),
            BodyHas("\ntidegate_requests_total{status=\"200\"} "),
            BodyHas("\ntidegate_config_last_reload_successful 1\n"),
            BodyHas("\ntidegate_config_reloads_total{result=\"partial\"} 1\n"),
        ],
    ),
];

const fn curl(options: &'static [&'static str], path: &'static str) -> Curl {
    Curl { options, path }
}

/// A step that asks the gateway.
const fn see(what: &'static str, curl: Curl, expected: &'static [Expected]) -> Step {
    Step {
        what,
        edits: &[],
        act: None,
        door: Door::Traffic,
        curl,
        expected,
    }
}

/// A step that asks its admin API.
const fn ask(what: &'static str, curl: Curl, expected: &'static [Expected]) -> Step {
    Step {
        what,
        edits: &[],
        act: None,
        door: Door::Admin,
        curl,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curl_line_is_understood() {
        for step in STEPS {
            let request = step.curl.request("127.0.0.1:1".parse().unwrap());
            assert!(request.is_ok(), "{}: {request:?}", step.what);
        }
    }

    #[test]
    fn every_step_is_one_line_and_expects_a_status() {
        for step in STEPS {
            assert!(step.what.len() < 90, "{}", step.what);
            assert!(
                matches!(step.expected.first(), Some(Status(_))),
                "{}",
                step.what
            );
        }
    }
}
