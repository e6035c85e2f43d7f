//! Warnings of certificates that are about to expire, and of lists of revoked ones that have.

use std::collections::HashMap;
use std::time::Duration;
use std::time::SystemTime;

/// From when before the end on there are warnings.
const AHEAD: Duration = Duration::from_hours(14 * 24);
/// How long one certificate is not warned of again.
const PAUSE: Duration = Duration::from_hours(24);

/// What ends some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// A certificate with its key.
    Certificate,
    /// Lists of revoked certificates. New ones come often, and late: there is nothing to warn of before.
    Revoked,
}

/// Something that serves, and when it ends.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) what: What,
    pub(super) name: String,
    pub(super) at: SystemTime,
}

impl Ending {
    fn is_due(&self, now: SystemTime) -> bool {
        match self.what {
            What::Certificate => self.at < now + AHEAD,
            What::Revoked => self.at < now,
        }
    }
}

/// What was warned of, and when.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    warned: HashMap<(What, String), (SystemTime, SystemTime)>,
}

impl Expiry {
    /// Warns of what is about to expire, or has: each once a day, and again when it is another.
    pub(super) fn warn(&mut self, serving: impl Iterator<Item = Ending>, now: SystemTime) {
        let mut warned = HashMap::new();
        for ending in serving.filter(|one| one.is_due(now)) {
            let key = (ending.what, ending.name);
            let said = self.warned.get(&key).copied();
            let is_quiet = said.is_some_and(|(of, at)| {
                let since = now.duration_since(at).unwrap_or_default();
                of == ending.at && since < PAUSE
            });
            if !is_quiet {
                tracing::warn!("{}", words(key.0, &key.1, ending.at, now));
            }
            let said = said.filter(|_| is_quiet).unwrap_or((ending.at, now));
            warned.insert(key, said);
        }
        self.warned = warned;
    }
}

fn words(what: What, name: &str, at: SystemTime, now: SystemTime) -> String {
    if what == What::Revoked {
        return format!(
            "the list of certificates that {name} has revoked is out of date: those that were revoked \
             since are believed"
        );
    }
    match at.duration_since(now) {
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

    use super::Ending;
    use super::Expiry;
    use super::What;
    use super::words;

    fn ending(what: What, name: &str, at: SystemTime) -> impl Iterator<Item = Ending> {
        let name = name.to_owned();
        [Ending { what, name, at }].into_iter()
    }

    #[test]
    fn a_certificate_is_warned_of_once_a_day_from_two_weeks_before_its_end() {
        let now = SystemTime::now();
        let day = Duration::from_hours(24);
        let mut expiry = Expiry::default();
        let one = |name, at| ending(What::Certificate, name, at);
        expiry.warn(one("late", now + 15 * day), now);
        assert!(expiry.warned.is_empty());
        expiry.warn(one("soon", now + 13 * day), now);
        let key = (What::Certificate, "soon".to_owned());
        let first = expiry.warned[&key];
        expiry.warn(one("soon", now + 13 * day), now + day / 2);
        assert_eq!(expiry.warned[&key], first, "it was said");
        expiry.warn(one("soon", now + 13 * day), now + day);
        assert_eq!(expiry.warned[&key].1, now + day, "it is said again");
        expiry.warn(one("soon", now + 90 * day), now + day);
        assert!(expiry.warned.is_empty(), "it was renewed");
    }

    #[test]
    fn a_list_of_revoked_certificates_is_warned_of_once_it_is_out_of_date() {
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        let mut expiry = Expiry::default();
        expiry.warn(ending(What::Revoked, "ca", now + second), now);
        assert!(expiry.warned.is_empty());
        expiry.warn(ending(What::Revoked, "ca", now), now + second);
        assert_eq!(expiry.warned.len(), 1);
    }

    #[test]
    fn warnings_say_how_long_there_is() {
        let now = SystemTime::now();
        let hour = Duration::from_hours(1);
        let words = |at| words(What::Certificate, "a/b", at, now);
        for (left, expected) in [(50 * hour, "in 2 days"), (3 * hour, "in 3 hours")] {
            assert!(words(now + left).ends_with(expected));
        }
        assert!(words(now - hour).contains("has expired"));
    }
}
