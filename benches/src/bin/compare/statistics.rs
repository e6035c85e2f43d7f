//! Medians and spreads, and ratios of what was measured in the same round.

/// Several measurements of one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The middle one.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
}

/// Summarises measurements, if there are any.
pub(crate) fn summary(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(Summary {
        median: f64::midpoint(lower, upper),
        least: *values.first()?,
        most: *values.last()?,
    })
}

/// Summarises the ratios of two series, round by round.
pub(crate) fn ratio(of: &[f64], to: &[f64]) -> Option<Summary> {
    summary(of.iter().zip(to).map(|(of, to)| of / to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        assert_eq!(summary([]), None);
        let odd = summary([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(
            odd,
            Summary {
                median: 2.0,
                least: 1.0,
                most: 3.0
            }
        );
        assert_eq!(
            summary([4.0, 1.0, 2.0, 3.0]).unwrap().median.to_string(),
            "2.5"
        );
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let found = ratio(&[1.0, 10.0], &[2.0, 20.0]).unwrap();
        assert_eq!(
            found,
            Summary {
                median: 0.5,
                least: 0.5,
                most: 0.5
            }
        );
    }
}
