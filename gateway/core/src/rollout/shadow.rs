//! What a filter that only looks on would have done, compared with what happened.
//!
//! Owns what is compared, the words of differences, and their bounds; [`body`] compares bodies as they
//! pass, and [`budget`] says how much of a worker's time shadows may take. The filter ran on a copy; who
//! made the copy and what was kept from the filter is the caller's.

pub mod body;
pub mod budget;

use std::collections::BTreeSet;

use http::StatusCode;

/// How many header fields of a message are told of one stream.
const MOST_FIELDS: usize = 16;

/// What the filter decided about its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Would {
    /// It would have let the stream pass.
    Pass,
    /// It would have answered.
    Answer(StatusCode),
    /// It would have ended the stream without an answer.
    Close,
    /// It trapped, ran out of time, or did what fails an exchange.
    Fault,
    /// Its decision depended on something that it was not given.
    Unknown(Kept),
}

/// What a shadow was not given, and what its decision therefore says nothing about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// A call to a backend that is not among those a shadow may call.
    Call,
    /// The time to decide: it still waited long after the stream had ended, or for longer than a
    /// filter may.
    Time,
    /// The stream itself: its client was gone before anybody could have ended it.
    Stream,
}

/// What became of the stream without the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// No filter after its place answered: this is the status that the client got.
    Passed(StatusCode),
    /// A filter after its place answered so.
    Denied(StatusCode),
    /// A filter after its place ended it without an answer.
    Closed,
    /// The client went away, or ended it.
    Gone,
}

/// A message before and after the filter, as its copy shows it.
#[derive(Debug, Clone, Copy)]
pub struct Edited<'a> {
    /// As the filter got it: names and values, pseudo-headers and trailers among them.
    pub before: &'a [(String, Vec<u8>)],
    /// As it left it.
    pub after: &'a [(String, Vec<u8>)],
    /// Whether it would have changed the body.
    pub body: bool,
}

/// What a filter would have done to a stream that it let pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edits<'a> {
    /// To the request, if anything of it was changed.
    pub request: Option<Edited<'a>>,
    /// To the response, if anything of it was changed.
    pub response: Option<Edited<'a>>,
    /// It would have chosen the backend or the endpoint, or failed attempts.
    pub route: bool,
}

/// How a stream is counted: each as one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing would have been different.
    Agreed,
    /// Something would have been.
    Differed,
    /// The filter would have failed.
    Fault,
    /// Nobody knows.
    Unknown,
}

/// What would have been different; a stream may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It would have been answered or ended, and passed.
    Deny,
    /// It would have passed, and a filter after it answered.
    Allow,
    /// Both answered, with different statuses.
    Status,
    /// Fields of the request's head or trailers.
    RequestHeaders,
    /// The request's body.
    RequestBody,
    /// Fields of the response's head or trailers.
    ResponseHeaders,
    /// The response's body.
    ResponseBody,
    /// Where the request would have gone, as far as the filter asked for that by name.
    Route,
}

/// Why a stream has no shadow, or its shadow was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// Shadows of the plugin have used up their share of the worker's time.
    Budget,
    /// As many are under way as may be.
    Concurrency,
    /// It waited, and what came meanwhile was more than a copy may hold.
    Buffer,
    /// There was no instance of the filter that could be entered.
    Instance,
}

/// What shadows of one plugin have come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// See [`Class::Agreed`].
    pub agreed: u64,
    /// See [`Class::Differed`].
    pub differed: u64,
    /// See [`Class::Fault`].
    pub faults: u64,
    /// See [`Class::Unknown`].
    pub unknown: u64,
    /// By [`Kind`], in the order of [`Kind::ALL`].
    pub kinds: [u64; Kind::ALL.len()],
    /// By [`Dropped`], in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

/// What would have been different about one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How it is counted.
    pub class: Class,
    /// What differs, each once.
    pub kinds: Vec<Kind>,
    /// The same for the log, one thing each. Values are left out: they may be secrets.
    pub words: Vec<String>,
}

/// Whether a stream is among so many percent of all, by random bits.
pub fn is_picked(percent: u8, draw: u64) -> bool {
    draw % 100 < u64::from(percent)
}

/// Compares what a filter would have done with what happened. A filter that would have answered what
/// was answered the same way after it agrees; edits of a stream that was denied say nothing.
pub fn compare(would: Would, happened: Happened, edits: &Edits<'_>) -> Difference {
    match (would, happened) {
        (Would::Fault, _) => one(Class::Fault, None, "it would have failed".to_owned()),
        (Would::Unknown(kept), _) => {
            let words = format!("unknown: {}", kept.words());
            one(Class::Unknown, None, words)
        }
        (Would::Answer(status), Happened::Denied(actual)) if status == actual => agreed(),
        (Would::Close, Happened::Closed) => agreed(),
        (Would::Close, Happened::Gone) => {
            let words = format!("unknown: {}", Kept::Stream.words());
            one(Class::Unknown, None, words)
        }
        (Would::Answer(_), Happened::Denied(_) | Happened::Closed)
        | (Would::Close, Happened::Denied(_)) => {
            one(Class::Differed, Some(Kind::Status), said(would, happened))
        }
        (Would::Answer(_), Happened::Passed(_) | Happened::Gone)
        | (Would::Close, Happened::Passed(_)) => {
            one(Class::Differed, Some(Kind::Deny), said(would, happened))
        }
        (Would::Pass, Happened::Denied(_) | Happened::Closed) => {
            one(Class::Differed, Some(Kind::Allow), said(would, happened))
        }
        (Would::Pass, Happened::Passed(_) | Happened::Gone) => edited(edits),
    }
}

fn said(would: Would, happened: Happened) -> String {
    format!("{would}, {happened}")
}

fn agreed() -> Difference {
    Difference {
        class: Class::Agreed,
        kinds: Vec::new(),
        words: Vec::new(),
    }
}

fn one(class: Class, kind: Option<Kind>, words: String) -> Difference {
    Difference {
        class,
        kinds: kind.into_iter().collect(),
        words: vec![words],
    }
}

fn edited(edits: &Edits<'_>) -> Difference {
    let mut difference = agreed();
    let sides = [
        (
            "request",
            edits.request,
            Kind::RequestHeaders,
            Kind::RequestBody,
        ),
        (
            "response",
            edits.response,
            Kind::ResponseHeaders,
            Kind::ResponseBody,
        ),
    ];
    for (side, edited, of_fields, of_body) in sides {
        let Some(edited) = edited else { continue };
        if fields(side, &edited, &mut difference.words) {
            difference.kinds.push(of_fields);
        }
        if edited.body {
            difference.kinds.push(of_body);
            let words = format!("would have changed the {side}'s body");
            difference.words.push(words);
        }
    }
    if edits.route {
        difference.kinds.push(Kind::Route);
        let words = "would have chosen where the request goes".to_owned();
        difference.words.push(words);
    }
    if !difference.kinds.is_empty() {
        difference.class = Class::Differed;
    }
    difference
}

/// What the filter would have changed about the fields of a message, by names, sorted; whether that is
/// anything.
fn fields(side: &str, edited: &Edited<'_>, words: &mut Vec<String>) -> bool {
    let both = edited.before.iter().chain(edited.after);
    let names: BTreeSet<&str> = both.map(|(name, _)| name.as_str()).collect();
    let mut changed = names.into_iter().filter_map(|name| {
        let values = |of: &[(String, Vec<u8>)]| {
            let fields = of.iter().filter(|(other, _)| *other == name);
            fields.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let (before, after) = (values(edited.before), values(edited.after));
        match (before.is_empty(), after.is_empty()) {
            _ if before == after => None,
            (true, _) => Some(format!("would have added {side} header {name}")),
            (_, true) => Some(format!("would have removed {side} header {name}")),
            (false, false) => Some(format!("would have changed {side} header {name}")),
        }
    });
    let known = words.len();
    words.extend(changed.by_ref().take(MOST_FIELDS));
    let more = changed.count();
    if more > 0 {
        words.push(format!("and {more} more headers of the {side}"));
    }
    words.len() > known
}

impl Counts {
    /// A stream came to that.
    pub fn add(&mut self, difference: &Difference) {
        let count = match difference.class {
            Class::Agreed => &mut self.agreed,
            Class::Differed => &mut self.differed,
            Class::Fault => &mut self.faults,
            Class::Unknown => &mut self.unknown,
        };
        *count += 1;
        for (kind, count) in Kind::ALL.into_iter().zip(&mut self.kinds) {
            *count += u64::from(difference.kinds.contains(&kind));
        }
    }

    /// A stream has none, or no more.
    pub fn drop_one(&mut self, why: Dropped) {
        for (one, count) in Dropped::ALL.into_iter().zip(&mut self.dropped) {
            *count += u64::from(one == why);
        }
    }

    /// Adds what was counted elsewhere.
    pub fn join(&mut self, other: &Self) {
        // No `..`: whoever counts something new must add it.
        let Self {
            agreed,
            differed,
            faults,
            unknown,
            kinds,
            dropped,
        } = other;
        self.agreed += agreed;
        self.differed += differed;
        self.faults += faults;
        self.unknown += unknown;
        for (sum, more) in self.kinds.iter_mut().zip(kinds) {
            *sum += more;
        }
        for (sum, more) in self.dropped.iter_mut().zip(dropped) {
            *sum += more;
        }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Deny,
        Self::Allow,
        Self::Status,
        Self::RequestHeaders,
        Self::RequestBody,
        Self::ResponseHeaders,
        Self::ResponseBody,
        Self::Route,
    ];

    /// What it is called in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Status => "status",
            Self::RequestHeaders => "request_headers",
            Self::RequestBody => "request_body",
            Self::ResponseHeaders => "response_headers",
            Self::ResponseBody => "response_body",
            Self::Route => "route",
        }
    }
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Budget,
        Self::Concurrency,
        Self::Buffer,
        Self::Instance,
    ];

    /// What it is called in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Concurrency => "concurrency",
            Self::Buffer => "buffer",
            Self::Instance => "instance",
        }
    }
}

impl Kept {
    /// For logs.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Call => "it depended on a call that shadows may not make",
            Self::Time => "it had not decided in time",
            Self::Stream => "it would have ended it, and the client was gone",
        }
    }
}

impl Class {
    /// What it is called in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Differed => "differed",
            Self::Fault => "fault",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Would {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass => out.write_str("would have let it pass"),
            Self::Answer(status) => write!(out, "would have answered {}", status.as_u16()),
            Self::Close => out.write_str("would have ended it"),
            Self::Fault => out.write_str("would have failed"),
            Self::Unknown(_) => out.write_str("unknown"),
        }
    }
}

impl std::fmt::Display for Happened {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed(status) => write!(out, "passed with {}", status.as_u16()),
            Self::Denied(status) => {
                write!(out, "was answered {} by a later filter", status.as_u16())
            }
            Self::Closed => out.write_str("was ended by a later filter"),
            Self::Gone => out.write_str("its client was gone"),
        }
    }
}
