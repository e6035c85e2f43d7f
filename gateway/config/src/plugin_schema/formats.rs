//! The formats of our SDK, and ranges of numbers.

use serde_json::Value as Json;

use super::walk::Keywords;
use crate::duration;
use crate::tree::Value;

/// A format of text that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `2s`, `1m30s`; limits are milliseconds.
    Duration,
    /// `64KiB`, `1MB`; limits are bytes.
    Size,
    /// `5%`, `0.5%`.
    Percent,
    /// The name of a backend.
    Backend,
}

/// The format that a schema names, if it is one of ours.
pub(super) fn of(of: &Keywords) -> Option<Format> {
    match of.get("format")?.as_str()? {
        "tidegate-duration" => Some(Format::Duration),
        "tidegate-size" => Some(Format::Size),
        "tidegate-percent" => Some(Format::Percent),
        "tidegate-backend" => Some(Format::Backend),
        _ => None,
    }
}

impl Format {
    /// Whether text has the format, within the limits of the schema.
    pub(super) fn accepts(self, of: &Keywords, text: &str) -> bool {
        match self {
            Self::Duration => duration::parse(text).is_ok_and(|duration| {
                self.includes(of, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
            }),
            Self::Size => size(text).is_some_and(|bytes| self.includes(of, bytes)),
            Self::Percent => is_percent(text),
            Self::Backend => !text.is_empty(),
        }
    }

    fn includes(self, of: &Keywords, value: u64) -> bool {
        let (min, max) = self.limits(of);
        min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
    }

    /// The lowest and the highest value.
    pub(super) fn limits(self, of: &Keywords) -> (Option<u64>, Option<u64>) {
        let limit = |name: &str| of.get(name).and_then(Json::as_u64);
        match self {
            Self::Duration => (limit("x-tidegate-minimum"), limit("x-tidegate-maximum")),
            Self::Size => (limit("minimum"), limit("maximum")),
            Self::Percent | Self::Backend => (None, None),
        }
    }
}

/// The bytes of a size as the SDK reads them.
fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "k" | "kB" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        _ => return None,
    };
    if !(1..=18).contains(&digits) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// From `0%` to `100%`, with up to four decimals.
fn is_percent(text: &str) -> bool {
    let is_digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some(number) = text.strip_suffix('%') else {
        return false;
    };
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (number, None),
    };
    is_digits(whole, 3)
        && decimals.is_none_or(|decimals| is_digits(decimals, 4))
        && number.parse::<f64>().is_ok_and(|value| value <= 100.0)
}

/// Whether a number is within the limits of a schema.
pub(super) fn in_range(of: &Keywords, value: &Value) -> bool {
    let exact = |limit: &Json| limit.as_number()?.as_i128();
    let compare = |limit: &Json| match (whole(value), exact(limit)) {
        (Some(value), Some(limit)) => Some(value.cmp(&limit)),
        _ => float(value).partial_cmp(&limit.as_f64()?),
    };
    let holds = |name: &str, is: fn(std::cmp::Ordering) -> bool| {
        of.get(name).and_then(compare).is_none_or(is)
    };
    holds("minimum", std::cmp::Ordering::is_ge)
        && holds("maximum", std::cmp::Ordering::is_le)
        && holds("exclusiveMinimum", std::cmp::Ordering::is_gt)
        && holds("exclusiveMaximum", std::cmp::Ordering::is_lt)
        && is_multiple(of, value)
}

fn is_multiple(of: &Keywords, value: &Value) -> bool {
    match (of.get("multipleOf"), value) {
        (Some(unit), Value::Int(value)) => {
            match unit.as_number().and_then(serde_json::Number::as_i128) {
                Some(unit) if unit > 0 => value % unit == 0,
                _ => true,
            }
        }
        _ => true,
    }
}

/// A whole number, also one that is written with a fraction of zero.
fn whole(value: &Value) -> Option<i128> {
    // All whole floats up to here are exact as integers.
    const MOST: f64 = 1e38;
    match value {
        Value::Int(value) => Some(*value),
        #[expect(clippy::cast_possible_truncation, reason = "whole, and just compared")]
        Value::Float(value) if value.fract() == 0.0 && value.abs() < MOST => Some(*value as i128),
        _ => None,
    }
}

/// Only compared with limits, which are small.
fn float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::Int(value) => value.to_string().parse().unwrap_or(f64::INFINITY),
        Value::Null | Value::Bool(_) | Value::Str(_) | Value::Seq(_) | Value::Map(_) => f64::NAN,
    }
}
