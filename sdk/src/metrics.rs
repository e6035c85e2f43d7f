//! Metrics of a filter. The host adds the plugin's name and exports them with its own.

use std::rc::Rc;

use tidegate_sdk_sys::{Host as _, MetricType, host};

use crate::log::{LogLevel, log_line};
use crate::runtime::root::{Root, named};

/// Something that only grows.
#[derive(Debug, Clone, Copy)]
pub struct Counter(Option<u32>);

/// Something that goes up and down.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Option<u32>);

/// A distribution of whole numbers.
#[derive(Debug, Clone, Copy)]
pub struct Histogram(Option<u32>);

impl Counter {
    pub(crate) fn new(root: &Rc<Root>, name: &str) -> Self {
        Self(number(root, MetricType::Counter, name))
    }

    /// Adds to it.
    pub fn add(self, by: u32) {
        if let Some(metric) = self.0 {
            let _refused_was_said = host().increment_metric(metric, i64::from(by));
        }
    }
}

impl Gauge {
    pub(crate) fn new(root: &Rc<Root>, name: &str) -> Self {
        Self(number(root, MetricType::Gauge, name))
    }

    /// Adds to it, or takes off. What an instance adds it is to take off itself: if
    /// it is ended by a trap, Tidegate takes off what it had added, also if another instance has done so
    /// already. Other hosts do not.
    pub fn add(self, by: i64) {
        if let Some(metric) = self.0 {
            let _refused_was_said = host().increment_metric(metric, by);
        }
    }

    /// What it is now, on hosts whose instances share it counting those of all; 0 if the host does not
    /// say.
    #[must_use]
    pub fn value(self) -> u64 {
        let value = self.0.map(|metric| host().metric(metric));
        value.and_then(Result::ok).unwrap_or(0)
    }

    /// Sets it.
    pub fn set(self, value: u64) {
        if let Some(metric) = self.0 {
            let _refused_was_said = host().record_metric(metric, value);
        }
    }
}

impl Histogram {
    pub(crate) fn new(root: &Rc<Root>, name: &str) -> Self {
        Self(number(root, MetricType::Histogram, name))
    }

    /// Adds a value to it.
    pub fn record(self, value: u64) {
        if let Some(metric) = self.0 {
            let _refused_was_said = host().record_metric(metric, value);
        }
    }
}

/// The host's number for a metric; a host that refuses it is said in the log, once.
fn number(root: &Rc<Root>, kind: MetricType, name: &str) -> Option<u32> {
    if let Some(number) = named(&root.metrics, name) {
        return number;
    }
    let number = host().define_metric(kind, name.as_bytes());
    if let Err(status) = number {
        log_line(
            LogLevel::Error,
            &["cannot define metric ", name, ": ", &status.text()],
        );
    }
    let number = number.ok();
    root.metrics.borrow_mut().push((String::from(name), number));
    number
}
