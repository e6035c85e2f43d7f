//! Dates as HTTP and logs write them, from a number of seconds. No clock here.

/// Seconds in a day.
const DAY: u64 = 86_400;

/// A point in time in civil units (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: u64,
    /// The month, 1 to 12.
    pub month: u64,
    /// The day of the month, from 1.
    pub day: u64,
    /// The hour.
    pub hour: u64,
    /// The minute.
    pub minute: u64,
    /// The second.
    pub second: u64,
    /// The day of the week, 0 is Sunday.
    pub weekday: usize,
}

/// Splits seconds since the Unix epoch (proleptic Gregorian, no leap seconds).
pub const fn civil(unix_seconds: u64) -> Civil {
    let days = unix_seconds / DAY;
    let rest = unix_seconds % DAY;
    // Days since 0000-03-01, in eras of 400 years; leap days then fall on the end of a year.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    Civil {
        year,
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: ((days + 4) % 7) as usize,
    }
}

/// An HTTP date (RFC 9110 §5.6.7), as in the `date` field.
pub fn http_date(unix_seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        weekday,
    } = civil(unix_seconds);
    let weekday = DAYS.get(weekday).unwrap_or(&"");
    let month = usize::try_from(month - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .unwrap_or(&"");
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// An RFC 3339 time with milliseconds, as in logs.
pub fn rfc3339(unix_millis: u64) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        weekday: _,
    } = civil(unix_millis / 1_000);
    let millis = unix_millis % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::http_date;
    use super::rfc3339;

    #[test]
    fn dates_are_written_as_the_standards_show_them() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    }
}
