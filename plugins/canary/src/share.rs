//! Shares of requests, as operators write them.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;
use tidegate_sdk::config::Shape;

/// A share from 0 to 100 percent, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Share(u16);

impl Share {
    /// How many buckets it is.
    pub(crate) const fn buckets(self) -> u16 {
        self.0
    }
}

impl FilterConfig for Share {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Number {
        min: Some((0.0, "0")),
        max: Some((100.0, "100")),
    })
    .backend_share();

    fn read(value: &Value) -> Result<Self, Problem> {
        let percent = value.as_f64().unwrap_or(-1.0);
        let hundredths = (percent * 100.0).round();
        let is_exact = (percent * 100.0 - hundredths).abs() < 1e-6;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is looked at whether it fits"
        )]
        match (0.0..=10_000.0).contains(&hundredths) && is_exact {
            true => Ok(Self(hundredths as u16)),
            false => Err(Problem::new(format!(
                "expected a percentage from 0 to 100 with two decimals at most, found {value}"
            ))),
        }
    }
}

/// Which backendRef is meant, by the name of its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendRef(pub(crate) String);

impl FilterConfig for BackendRef {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(512).backend_ref();

    fn read(value: &Value) -> Result<Self, Problem> {
        String::read(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_have_two_decimals() {
        for (value, buckets) in [
            (json!(0), 0),
            (json!(5), 500),
            (json!(0.01), 1),
            (json!(0.29), 29),
            (json!(33.33), 3_333),
            (json!(99.99), 9_999),
            (json!(100.0), 10_000),
        ] {
            assert_eq!(Share::read(&value).unwrap().buckets(), buckets, "{value}");
        }
        for value in [
            json!(100.01),
            json!(-0.01),
            json!(0.001),
            json!(33.333),
            json!(1e300),
            json!("5"),
            json!(null),
        ] {
            assert!(Share::read(&value).is_err(), "{value}");
        }
    }
}
