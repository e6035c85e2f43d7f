//! Lines in the host's log.

use tidegate_sdk_sys::text::concat;
use tidegate_sdk_sys::{Host as _, host};

pub use tidegate_sdk_sys::LogLevel;

/// Writes a line at `level`, made of `parts`.
pub(crate) fn log_line(level: LogLevel, parts: &[&str]) {
    write(level, &concat(parts));
}

/// Writes a line. A host that refuses it has nowhere to say so.
pub(crate) fn write(level: LogLevel, line: &str) {
    let _nowhere_to_say_it = host().log(level, line.as_bytes());
}

/// Whether the host writes lines of `level`: ask before a line that is expensive to make.
///
/// Hosts that cannot say it are taken to write everything.
#[must_use]
pub fn log_enabled(level: LogLevel) -> bool {
    host()
        .log_level()
        .map_or(true, |lowest| level as u32 >= lowest)
}

/// Appends ` name=value` as logfmt has it: quoted if the value is not one plain word.
#[doc(hidden)]
pub fn push_field(line: &mut String, name: &str, value: &str) {
    line.push(' ');
    line.push_str(name);
    line.push('=');
    let plain = !value.is_empty()
        && value
            .bytes()
            .all(|it| it.is_ascii_graphic() && it != b'"' && it != b'=');
    if plain {
        line.push_str(value);
        return;
    }
    line.push('"');
    for part in value.chars() {
        match part {
            '"' | '\\' => line.extend(['\\', part]),
            '\n' => line.push_str("\\n"),
            _ if part.is_control() => line.push('\u{fffd}'),
            _ => line.push(part),
        }
    }
    line.push('"');
}

/// Writes a line at the level [`LogLevel`] names, with fields after it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $text:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        let mut line = ::std::string::String::from($text);
        $($crate::log::push_field(&mut line, stringify!($name), &::std::string::ToString::to_string(&$value));)*
        $crate::log::emit($crate::log::LogLevel::$level, &line);
    }};
}

#[doc(hidden)]
pub fn emit(level: LogLevel, line: &str) {
    write(level, line);
}

/// Writes a line at level debug.
#[macro_export]
macro_rules! debug {
    ($($arguments:tt)*) => { $crate::__log!(Debug, $($arguments)*) };
}

/// Writes a line at level info: a text, then fields.
///
/// ```
/// # let who = "alice";
/// tidegate_sdk::info!("let in", user = who, tries = 3);
/// ```
///
/// Values are quoted as logfmt has it, so that none can forge another field or line.
#[macro_export]
macro_rules! info {
    ($($arguments:tt)*) => { $crate::__log!(Info, $($arguments)*) };
}

/// Writes a line at level warn, like [`info!`].
#[macro_export]
macro_rules! warn {
    ($($arguments:tt)*) => { $crate::__log!(Warn, $($arguments)*) };
}

/// Writes a line at level error, like [`info!`].
#[macro_export]
macro_rules! error {
    ($($arguments:tt)*) => { $crate::__log!(Error, $($arguments)*) };
}
