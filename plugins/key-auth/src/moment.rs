//! Moments in a configuration (RFC 3339).

use std::time::Duration;

use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// A moment since 1970, to the second: `2027-01-31T00:00:00Z`, or with an offset in place of `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// How long after 1970 began it is.
    pub(crate) const fn since_1970(self) -> Duration {
        Duration::from_secs(self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_at_checked(10)?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let (time, zone) = time.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let east = offset(zone)?;
        let days = days(year, month, day)?;
        let in_range = hour < 24 && minute < 60 && second < 60;
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - east;
        in_range.then(|| u64::try_from(seconds).ok().map(Self))?
    }
}

/// So many numbers of so many digits, with `separator` between them.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        let digits = part.len() == width && part.bytes().all(|it| it.is_ascii_digit());
        *number = part.parse().ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Seconds east of Greenwich; a fraction of a second before is left out.
fn offset(text: &str) -> Option<i64> {
    let text = match text.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|it: char| it.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => text,
    };
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(text.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let before = lengths.get(..usize::try_from(month - 1).ok()?)?;
    let length = lengths.get(before.len())?;
    let past = year - 1;
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let days =
        (past - 1969) * 365 + leaps(past) - leaps(1969) + before.iter().sum::<i64>() + day - 1;
    (year >= 1970 && (1..=*length).contains(&day)).then_some(days)
}

impl FilterConfig for Moment {
    const SCHEMA: &'static Schema = &Schema::text();

    fn read(value: &serde_json::Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        Self::parse(text).ok_or_else(|| {
            Problem::new(format!(
                "expected a moment such as \"2027-01-31T00:00:00Z\", found {text:?}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn moments_are_what_date_says_they_are() {
        // `date -d TEXT +%s` of GNU coreutils.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2027-01-31T00:00:00+05:30", 1_801_333_800),
            ("2024-12-31t12:00:00.25z", 1_735_646_400),
            ("2100-03-01 00:00:00-00:30", 4_107_544_200),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2027",
            "2027-01-31",
            "2027-01-31T00:00:00",
            "2027-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-01-00T00:00:00Z",
            "2027-01-01T24:00:00Z",
            "2027-01-01T00:60:00Z",
            "2027-01-01T00:00:00.Z",
            "2027-01-01T00:00:00+0100",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "+027-01-01T00:00:00Z",
            "2027-01-01T0é:00:00Z",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
