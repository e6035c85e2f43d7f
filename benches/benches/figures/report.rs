//! What was measured, beside what it may be.
//!
//! Owns how often things are repeated and how figures are written.

use std::fmt;
use std::time::{Duration, Instant};

/// The figures so far.
pub(crate) struct Report {
    is_measured: bool,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    figure: Option<Figure>,
    /// `None` if there is no goal.
    at_most: Option<Figure>,
}

/// A figure in the unit it is written in.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Figure {
    Nanos(f64),
    Micros(f64),
    Millis(f64),
    Kilobytes(f64),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nanos(nanos) => write!(f, "{nanos:.1} ns"),
            Self::Micros(micros) => write!(f, "{micros:.2} µs"),
            Self::Millis(millis) => write!(f, "{millis:.1} ms"),
            Self::Kilobytes(kilobytes) => write!(f, "{kilobytes:.0} KB"),
        }
    }
}

impl Report {
    pub(crate) fn new(is_measured: bool) -> Self {
        Self {
            is_measured,
            lines: Vec::new(),
        }
    }

    /// So many of something: one if nothing is judged.
    pub(crate) fn times(&self, wanted: usize) -> usize {
        if self.is_measured { wanted } else { 1 }
    }

    /// The least time of one call, of `calls` in each of `rounds`.
    pub(crate) fn least(&self, rounds: usize, calls: u32, mut call: impl FnMut()) -> Duration {
        let mut least = Duration::MAX;
        for _ in 0..self.times(rounds) {
            let started = Instant::now();
            for _ in 0..calls {
                call();
            }
            least = least.min(started.elapsed());
        }
        least / calls
    }

    /// Notes the time of one of `parts` equal parts of a call.
    pub(crate) fn nanos(&mut self, name: &str, call: Duration, parts: u32, at_most: f64) {
        let nanos = call.as_secs_f64() * 1e9 / f64::from(parts);
        self.note(name, Some(Figure::Nanos(nanos)), Figure::Nanos(at_most));
    }

    /// Notes a long time.
    pub(crate) fn millis(&mut self, name: &str, time: Duration, at_most: f64) {
        let millis = Figure::Millis(time.as_secs_f64() * 1e3);
        self.note(name, Some(millis), Figure::Millis(at_most));
    }

    /// Notes a figure; `None` if it could not be measured.
    pub(crate) fn note(&mut self, name: &str, figure: Option<Figure>, at_most: Figure) {
        self.lines.push(Line {
            name: name.to_owned(),
            figure,
            at_most: Some(at_most),
        });
    }

    /// Notes a figure that is nobody's goal; `None` if it could not be measured.
    pub(crate) fn note_only(&mut self, name: &str, figure: Option<Figure>) {
        self.lines.push(Line {
            name: name.to_owned(),
            figure,
            at_most: None,
        });
    }

    /// Prints all of them.
    pub(crate) fn print(&self) {
        println!("{:<58} {:>12} {:>12}", "figure", "measured", "at most");
        for Line {
            name,
            figure,
            at_most,
        } in &self.lines
        {
            let (figure, verdict) = match figure {
                None => ("-".to_owned(), "not measured"),
                Some(figure) if !self.is_measured => (figure.to_string(), "once, not judged"),
                Some(figure) => match at_most {
                    None => (figure.to_string(), ""),
                    Some(most) if figure <= most => (figure.to_string(), "PASS"),
                    Some(_) => (figure.to_string(), "MISS"),
                },
            };
            let at_most = at_most.map_or_else(|| "-".to_owned(), |most| most.to_string());
            println!("{name:<58} {figure:>12} {at_most:>12}  {verdict}");
        }
    }
}
