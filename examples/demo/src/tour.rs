//! What there is to see: for each thing a sentence, the curl line, and what must come back.
//!
//! The page prints this list and `--check` performs it, so that they cannot disagree.

use std::time::Duration;

use crate::curl::Curl;

/// One thing to see.
#[derive(Debug)]
pub(crate) struct Step {
    /// What it is, in one line.
    pub(crate) what: &'static str,
    /// Which gateway shows it.
    pub(crate) door: Door,
    /// How to see it.
    pub(crate) curl: Curl,
    /// What must come back.
    pub(crate) expected: &'static [Expected],
}

/// Which gateway is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The one with the filter, in front of `apples`.
    Filtered,
    /// The one without, in front of `pears`.
    Plain,
}

/// One thing that must be true of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// It has this status.
    Status(u16),
    /// It has this header field.
    Header(&'static str, &'static str),
    /// It has no such header field.
    NoHeader(&'static str),
    /// Its body begins so.
    BodyBegins(&'static str),
    /// Its body is JSON with this text in this place.
    Text(&'static str, &'static str),
    /// Its body is JSON in which this place is true.
    True(&'static str),
    /// Its body is JSON that has nothing in this place.
    Nothing(&'static str),
    /// Its body came bit by bit, for at least so long.
    Streamed(Duration),
    /// The access log of the gateway gets a line with this text.
    Logged(&'static str),
}

use Expected::{BodyBegins, Header, Logged, NoHeader, Nothing, Status, Streamed, Text, True};

/// Everything there is to see, in the order of the page.
pub(crate) static STEPS: &[Step] = &[
    Step {
        what: "No filter: the gateway alone adds x-request-id and x-forwarded-*",
        door: Door::Plain,
        curl: Curl {
            options: &["-i"],
            path: "/",
        },
        expected: &[
            Status(200),
            Header("x-powered-by", "pears"),
            NoHeader("x-hello-filter"),
            Text("/backend", "pears"),
            Text("/headers/x-forwarded-for", "127.0.0.1"),
            Nothing("/headers/x-hello"),
            Nothing("/filtered"),
        ],
    },
    Step {
        what: "With it: x-hello for the backend, x-hello-filter for you, and no x-powered-by",
        door: Door::Filtered,
        curl: Curl {
            options: &["-i"],
            path: "/",
        },
        expected: &[
            Status(200),
            Header("x-hello-filter", "1.0"),
            NoHeader("x-powered-by"),
            Text("/backend", "apples"),
            Text("/headers/x-hello", "hello from the filter"),
            Text("/headers/x-forwarded-for", "127.0.0.1"),
        ],
    },
    Step {
        what: "A path that the filter forbids",
        door: Door::Filtered,
        curl: Curl {
            options: &["-i"],
            path: "/forbidden?please",
        },
        expected: &[
            Status(403),
            Header("x-denied-by", "hello-filter"),
            BodyBegins("forbidden by hello-filter"),
        ],
    },
    Step {
        what: "An answer by the filter itself: it counts, in data that all workers share",
        door: Door::Filtered,
        curl: Curl {
            options: &[],
            path: "/hello",
        },
        expected: &[Status(200), BodyBegins("hello number ")],
    },
    Step {
        what: "JSON rewritten both ways: \"seen_by\" in the body sent, \"filtered\" in the answer",
        door: Door::Filtered,
        curl: Curl {
            options: &[
                "-H",
                "content-type: application/json",
                "-d",
                r#"{"fruit":"apple"}"#,
            ],
            path: "/echo",
        },
        expected: &[
            Status(200),
            Text("/method", "POST"),
            Text("/body/fruit", "apple"),
            Text("/body/seen_by", "hello-filter"),
            True("/filtered"),
        ],
    },
    Step {
        what: "A question to another backend: the auth server does not know you",
        door: Door::Filtered,
        curl: Curl {
            options: &["-i"],
            path: "/authorized",
        },
        expected: &[Status(401), Text("/error", "unauthorized")],
    },
    Step {
        what: "With its token it does, and apples learns who you are (x-auth-user)",
        door: Door::Filtered,
        curl: Curl {
            options: &["-i", "-H", "authorization: Bearer demo-token"],
            path: "/authorized",
        },
        expected: &[
            Status(200),
            Text("/backend", "apples"),
            Text("/headers/x-auth-user", "ada"),
        ],
    },
    Step {
        what: "Streaming: five lines, 200 ms apart, none held back",
        door: Door::Filtered,
        curl: Curl {
            options: &["-N"],
            path: "/slow",
        },
        expected: &[
            Status(200),
            Header("x-hello-filter", "1.0"),
            BodyBegins("1 of 5 from apples\n2 of 5 from apples\n"),
            // Four gaps of 200 ms, with room for a busy machine that starts late.
            Streamed(Duration::from_millis(600)),
        ],
    },
    Step {
        what: "The access log, below: one line per request",
        door: Door::Filtered,
        curl: Curl {
            options: &["-s"],
            path: "/look-below",
        },
        expected: &[Status(200), Logged("/look-below")],
    },
    Step {
        what: "The access log as JSON, from the second gateway",
        door: Door::Plain,
        curl: Curl {
            options: &["-s"],
            path: "/look-below-too",
        },
        expected: &[Status(200), Logged("\"/look-below-too\"")],
    },
];

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
