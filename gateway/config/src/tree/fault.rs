//! What is wrong with a text, and how much of that is reported.

use crate::place::Span;

/// Most faults of one document that are reported, the last aside.
const MAX_FAULTS: usize = 100;

/// Something wrong with a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) span: Span,
    /// What.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// An earlier place that belongs to it, and what is there.
    pub(crate) earlier: Option<(&'static str, Span)>,
}

impl Fault {
    pub(super) fn new(span: Span, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: Some(hint.into()),
            earlier: None,
        }
    }
}

/// The faults of one document, up to a limit.
#[derive(Debug, Default)]
pub(super) struct Faults {
    all: Vec<Fault>,
    /// How many faults there are beyond the limit, and where the first of them is.
    left_out: Option<(usize, Span)>,
}

impl Faults {
    /// Adds one, or counts it.
    pub(super) fn add(&mut self, fault: Fault) {
        if self.all.len() < MAX_FAULTS {
            self.all.push(fault);
            return;
        }
        let (count, span) = self.left_out.unwrap_or((0, fault.span));
        self.left_out = Some((count + 1, span));
    }

    /// Adds the one that ends the document.
    pub(super) fn add_last(&mut self, fault: Fault) {
        self.all.push(fault);
    }

    /// All of them, and how many are left out.
    pub(super) fn into_all(mut self) -> Vec<Fault> {
        if let Some((count, span)) = self.left_out {
            let message = format!("{count} more problems of this document are not shown");
            let hint = "repair the first ones, then try again";
            self.all.push(Fault::new(span, message, hint));
        }
        self.all
    }
}
