//! Lines of the log for an author who watches: `12:05:26.087 my-auth: user passed`.
//!
//! What serves is known, and the day too; the level is said from warnings on.

use std::fmt;
use std::fmt::Write as _;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tidegate_core::time::rfc3339;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::registry::LookupSpan;

/// Where the time of day is in a time with its date.
const TIME_OF_DAY: std::ops::Range<usize> = 11..23;
/// The namespace of those who name none.
const DEFAULT: &str = "default/";

/// See the module.
#[derive(Debug)]
pub(super) struct Brief;

/// What an event says.
#[derive(Debug, Default)]
struct Said {
    plugin: String,
    message: String,
    fields: String,
}

impl<S, N> FormatEvent<S, N> for Brief
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let level = *event.metadata().level();
        let colour = out.has_ansi_escapes();
        out.write_str(&line(&rfc3339(now), level, &said, colour))
    }
}

/// One line, with its end.
fn line(time: &str, level: Level, said: &Said, colour: bool) -> String {
    let Said {
        plugin,
        message,
        fields,
    } = said;
    let mut line = time.get(TIME_OF_DAY).unwrap_or(time).to_owned();
    line.push(' ');
    let (word, code) = match level {
        Level::ERROR => ("ERROR ", 31),
        Level::WARN => ("WARN ", 33),
        Level::INFO => ("", 0),
        Level::DEBUG => ("debug ", 0),
        Level::TRACE => ("trace ", 0),
    };
    if colour && code > 0 {
        line.push_str(&format!("\x1b[{code}m{word}\x1b[0m"));
    } else {
        line.push_str(word);
    }
    if !plugin.is_empty() {
        line.push_str(plugin.strip_prefix(DEFAULT).unwrap_or(plugin));
        line.push_str(": ");
    }
    line.push_str(message);
    line.push_str(fields);
    line.push('\n');
    line
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "plugin" => value.clone_into(&mut self.plugin),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        match field.name() {
            "message" => write!(self.message, "{value:?}").ok(),
            "plugin" => write!(self.plugin, "{value:?}").ok(),
            // The message has them.
            "callback" | "kind" => None,
            name => write!(self.fields, " {name}={value:?}").ok(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_of_day_the_plugin_and_what_it_said() {
        let said = Said {
            plugin: "default/my-auth".to_owned(),
            message: "user passed".to_owned(),
            fields: " id=3".to_owned(),
        };
        let time = "2026-11-23T05:00:26.087Z";
        assert_eq!(
            line(time, Level::INFO, &said, true),
            "05:00:26.087 my-auth: user passed id=3\n"
        );
        let other = Said {
            plugin: String::new(),
            ..said
        };
        assert_eq!(
            line(time, Level::WARN, &other, false),
            "05:00:26.087 WARN user passed id=3\n"
        );
    }
}
