//! What a filter that only looks on would have done, compared with what happened.
//!
//! Owns the words of differences and their bounds. The filter ran on a copy; who made the copy and
//! what was kept from the filter is the caller's.

use std::collections::BTreeSet;

use http::StatusCode;

/// How many header fields of a direction are told of one stream.
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
    /// It trapped or ran out of time.
    Fault,
    /// Its decision depended on something that it was not given.
    Unknown(Kept),
}

/// What a shadow was not given, and what its decision therefore says nothing about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// A call to a backend that is not among those a shadow may call.
    Call,
    /// It still waited when the stream had ended, or held more than its copy may.
    Time,
    /// The copy of a body that was longer than what is copied.
    Body,
}

/// What became of the stream without the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The status of the answer; who made it does not matter.
    Answered(StatusCode),
    /// It ended without an answer.
    Ended,
}

/// A message before and after the filter, as its copy shows it.
#[derive(Debug, Clone, Copy)]
pub struct Edited<'a> {
    /// As the filter got it: names and values, pseudo-headers among them.
    pub before: &'a [(&'a str, &'a [u8])],
    /// As it left it.
    pub after: &'a [(&'a str, &'a [u8])],
    /// Whether it would have changed the body.
    pub body: bool,
}

/// How a stream is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing would have been different.
    Same,
    /// It would have been edited.
    Edited,
    /// It would have been answered or ended, and was not so.
    Decided,
    /// The filter would have failed.
    Fault,
    /// Nobody knows.
    Unknown,
}

/// What would have been different about one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How it is counted.
    pub class: Class,
    /// What would have been different, one thing each, for the log. Values are left out: they may
    /// be secrets.
    pub words: Vec<String>,
}

/// Compares what a filter would have done with what happened.
pub fn compare(
    would: Would,
    happened: Happened,
    request: Option<Edited<'_>>,
    response: Option<Edited<'_>>,
) -> Difference {
    let decided = |words: String| Difference {
        class: Class::Decided,
        words: vec![words],
    };
    match would {
        Would::Fault => {
            let words = vec!["it would have failed".to_owned()];
            Difference {
                class: Class::Fault,
                words,
            }
        }
        Would::Unknown(kept) => {
            let words = vec![format!("unknown: {}", kept.words())];
            Difference {
                class: Class::Unknown,
                words,
            }
        }
        Would::Answer(status) if happened == Happened::Answered(status) => {
            // The same status from somebody else is the same to the client, but not to a backend
            // that was asked: it is told and counted as a decision.
            let status = status.as_u16();
            decided(format!(
                "would have answered {status} itself, as the answer was"
            ))
        }
        Would::Answer(status) => {
            let status = status.as_u16();
            decided(format!("would have answered {status}, {happened}"))
        }
        Would::Close => match happened {
            Happened::Ended => same(),
            Happened::Answered(_) => decided(format!("would have ended it, {happened}")),
        },
        Would::Pass => {
            let mut words = Vec::new();
            for (side, edited) in [("request", request), ("response", response)] {
                if let Some(edited) = edited {
                    edits(side, &edited, &mut words);
                }
            }
            match words.is_empty() {
                true => same(),
                false => Difference {
                    class: Class::Edited,
                    words,
                },
            }
        }
    }
}

fn same() -> Difference {
    Difference {
        class: Class::Same,
        words: Vec::new(),
    }
}

/// What the filter would have changed about a message, by names, sorted.
fn edits(side: &str, edited: &Edited<'_>, words: &mut Vec<String>) {
    let both = edited.before.iter().chain(edited.after);
    let names: BTreeSet<&str> = both.map(|(name, _)| *name).collect();
    let mut changed = names.into_iter().filter_map(|name| {
        let values = |of: &[(&str, &[u8])]| {
            let fields = of.iter().filter(|(other, _)| *other == name);
            fields.map(|(_, value)| value.to_vec()).collect::<Vec<_>>()
        };
        let (before, after) = (values(edited.before), values(edited.after));
        match (before.is_empty(), after.is_empty()) {
            _ if before == after => None,
            (true, _) => Some(format!("would have added {side} header {name}")),
            (_, true) => Some(format!("would have removed {side} header {name}")),
            (false, false) => Some(format!("would have changed {side} header {name}")),
        }
    });
    words.extend(changed.by_ref().take(MOST_FIELDS));
    let more = changed.count();
    if more > 0 {
        words.push(format!("and {more} more headers of the {side}"));
    }
    if edited.body {
        words.push(format!("would have changed the {side}'s body"));
    }
}

impl Kept {
    /// For logs.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Call => "it depended on a call that shadows may not make",
            Self::Time => "it had not decided when the stream ended",
            Self::Body => "the body was longer than what is copied",
        }
    }
}

impl Class {
    /// What it is called in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Edited => "edited",
            Self::Decided => "decided",
            Self::Fault => "fault",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Happened {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered(status) => write!(out, "was answered {}", status.as_u16()),
            Self::Ended => out.write_str("ended without an answer"),
        }
    }
}
