//! Redis servers of tests: what they are asked, what they answer, and how both are written.

use std::time::Duration;

use tidegate_sdk::redis::Value;

use crate::fields::text;
use crate::reply::Course;

/// What answers commands.
pub(crate) type Handler = Box<dyn FnMut(&RedisCommand) -> RedisReply + Send>;

/// A command as a Redis server of a test got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisCommand {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) login: RedisLogin,
    pub(crate) at: Duration,
}

/// How the filter has logged in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisLogin {
    /// The user; empty is the default user.
    pub user: String,
    /// The password; empty if none was given.
    pub password: String,
    /// The database.
    pub database: u32,
}

impl RedisCommand {
    /// The name of the command, in capitals.
    #[must_use]
    pub fn name(&self) -> String {
        self.text(0).to_ascii_uppercase()
    }

    /// All words; the first is the name.
    #[must_use]
    pub fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// A word as text; empty if there are fewer.
    #[must_use]
    pub fn text(&self, index: usize) -> String {
        self.words
            .get(index)
            .map(|word| text(word))
            .unwrap_or_default()
    }

    /// How the filter has logged in.
    #[must_use]
    pub const fn login(&self) -> &RedisLogin {
        &self.login
    }

    /// How long after 1970 the server got it, on the clock of the test.
    #[must_use]
    pub const fn at(&self) -> Duration {
        self.at
    }
}

/// What a Redis server of a test answers.
#[derive(Debug, Clone)]
pub struct RedisReply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) after: Duration,
    pub(crate) course: Course,
}

impl RedisReply {
    /// A value.
    #[must_use]
    pub fn value(value: &Value) -> Self {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        Self::raw(bytes)
    }

    /// A number.
    #[must_use]
    pub fn integer(number: i64) -> Self {
        Self::value(&Value::Integer(number))
    }

    /// An error, such as `OOM command not allowed`.
    #[must_use]
    pub fn error(why: &str) -> Self {
        Self::value(&Value::Error(why.to_owned()))
    }

    /// Any bytes in the place of a reply.
    #[must_use]
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            bytes: bytes.as_ref().to_vec(),
            after: Duration::ZERO,
            course: Course::Whole,
        }
    }

    /// The server closes the connection.
    #[must_use]
    pub fn reset() -> Self {
        Self {
            course: Course::Reset,
            ..Self::raw([])
        }
    }

    /// The server never answers: only a timeout ends the command.
    #[must_use]
    pub fn never() -> Self {
        Self {
            course: Course::Never,
            ..Self::raw([])
        }
    }

    /// Answers only after this time.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}

/// Appends a value as servers write it.
fn write(out: &mut Vec<u8>, value: &Value) {
    let mut line = |kind: char, rest: &str| {
        let line = format!("{kind}{rest}\r\n");
        out.extend_from_slice(line.as_bytes());
    };
    match value {
        Value::Nil => line('$', "-1"),
        Value::Integer(number) => line(':', &number.to_string()),
        Value::Text(text) => line('+', text),
        Value::Error(why) => line('-', why),
        Value::Bytes(bytes) => {
            line('$', &bytes.len().to_string());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Value::List(values) => {
            line('*', &values.len().to_string());
            for value in values {
                write(out, value);
            }
        }
    }
}

/// The words of a command; `None` if it is none.
pub(crate) fn words(command: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Some(Value::List(words)) = Value::read(command) else {
        return None;
    };
    let words: Option<Vec<Vec<u8>>> = words
        .into_iter()
        .map(|word| match word {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        })
        .collect();
    words.filter(|words| !words.is_empty())
}
