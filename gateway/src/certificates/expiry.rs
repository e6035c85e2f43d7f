//! Warnings of certificates that are about to expire.

use std::collections::HashMap;
use std::time::Duration;
use std::time::SystemTime;

/// From when before the end on there are warnings.
const AHEAD: Duration = Duration::from_hours(14 * 24);
/// How long one certificate is not warned of again.
const PAUSE: Duration = Duration::from_hours(24);

/// What was warned of, and when.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    warned: HashMap<String, (SystemTime, SystemTime)>,
}

impl Expiry {
    /// Warns of what is about to expire, or has: each once a day, and again when it is another.
    pub(super) fn warn<'a>(
        &mut self,
        serving: impl Iterator<Item = (&'a str, SystemTime)>,
        now: SystemTime,
    ) {
        let due: Vec<(&str, SystemTime)> = serving
            .filter(|(_, not_after)| *not_after < now + AHEAD)
            .collect();
        self.warned
            .retain(|name, _| due.iter().any(|(one, _)| one == name));
        for (name, not_after) in due {
            let is_quiet = self.warned.get(name).is_some_and(|(of, at)| {
                let since = now.duration_since(*at).unwrap_or_default();
                *of == not_after && since < PAUSE
            });
            if is_quiet {
                continue;
            }
            tracing::warn!("{}", words(name, not_after, now));
            self.warned.insert(name.to_owned(), (not_after, now));
        }
    }
}

fn words(name: &str, not_after: SystemTime, now: SystemTime) -> String {
    match not_after.duration_since(now) {
        Ok(left) => {
            let hours = left.as_secs() / 3600;
            match (hours / 24, hours) {
                (0, hours) => format!("certificate {name} expires in {hours} hours"),
                (days, _) => format!("certificate {name} expires in {days} days"),
            }
        }
        Err(_) => format!("certificate {name} has expired: clients refuse it"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::SystemTime;

    use super::Expiry;
    use super::words;

    #[test]
    fn a_certificate_is_warned_of_once_a_day_from_two_weeks_before_its_end() {
        let now = SystemTime::now();
        let day = Duration::from_hours(24);
        let mut expiry = Expiry::default();
        expiry.warn([("late", now + 15 * day)].into_iter(), now);
        assert!(expiry.warned.is_empty());
        expiry.warn([("soon", now + 13 * day)].into_iter(), now);
        let first = expiry.warned["soon"];
        expiry.warn([("soon", now + 13 * day)].into_iter(), now + day / 2);
        assert_eq!(expiry.warned["soon"], first, "it was said");
        expiry.warn([("soon", now + 13 * day)].into_iter(), now + day);
        assert_eq!(expiry.warned["soon"].1, now + day, "it is said again");
        expiry.warn([("soon", now + 90 * day)].into_iter(), now + day);
        assert!(expiry.warned.is_empty(), "it was renewed");
    }

    #[test]
    fn warnings_say_how_long_there_is() {
        let now = SystemTime::now();
        let hour = Duration::from_hours(1);
        for (left, expected) in [(50 * hour, "in 2 days"), (3 * hour, "in 3 hours")] {
            assert!(words("a/b", now + left, now).ends_with(expected));
        }
        assert!(words("a/b", now - hour, now).contains("has expired"));
    }
}
