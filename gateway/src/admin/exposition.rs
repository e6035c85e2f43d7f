//! The Prometheus text format, version 0.0.4.
//!
//! Owns escaping and the order of things: all samples of a family stand together, below its help and
//! type. Names are ours; labels may hold anything.

use std::fmt::Display;
use std::fmt::Write as _;

/// What a family's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grow.
    Counter,
    /// Go up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A text in the making.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

/// The family whose samples come next.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").ok();
        Family {
            text: &mut self.text,
            name,
        }
    }

    /// A family of one sample without labels.
    pub(crate) fn single(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        value: impl Display,
    ) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// Adds a histogram: cumulative counts by upper bound, the last without one.
    pub(crate) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        bounds: &[u64],
        counts: &[u64],
        sum: u64,
    ) {
        let mut total = 0_u64;
        for (at, count) in counts.iter().enumerate() {
            total = total.saturating_add(*count);
            let bound = bounds.get(at).map(ToString::to_string);
            let bound = bound.as_deref().unwrap_or("+Inf");
            let mut labels = labels.to_vec();
            labels.push(("le", bound));
            self.line("_bucket", &labels, total);
        }
        self.line("_sum", labels, sum);
        self.line("_count", labels, total);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        // Writing to a string does not fail.
        writeln!(self.text, " {value}").ok();
    }
}
