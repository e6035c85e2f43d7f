//! Users, as `htpasswd` of Apache writes them.

use std::collections::BTreeMap;
use std::fmt;

use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::hash::Hash;

/// Most users of a plugin.
pub(crate) const MOST: usize = 10_000;
/// Most lines of which it is said what is wrong.
const MOST_TOLD: usize = 10;

/// Users with the hashes of their passwords.
pub(crate) struct Users {
    hashes: Vec<Hash>,
    /// Indexes into the hashes.
    by_name: BTreeMap<String, usize>,
}

impl Users {
    /// The hash of a user's password.
    pub(crate) fn hash(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The hash at an index, or as many after it as there are more; there is one.
    pub(crate) fn at(&self, index: usize) -> Option<&Hash> {
        let index = index.checked_rem(self.hashes.len())?;
        self.hashes.get(index)
    }

    /// How many have a hash that is made without a salt.
    pub(crate) fn unsalted(&self) -> usize {
        let is_unsalted = |hash: &&Hash| matches!(hash, Hash::Sha1(_));
        self.hashes.iter().filter(is_unsalted).count()
    }

    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by line. Nothing of what a line has is shown: it may be a password.
    fn parse(text: &str) -> Result<Self, String> {
        let mut users = Self {
            hashes: Vec::new(),
            by_name: BTreeMap::new(),
        };
        let mut problems = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(problem) = users.add(line) {
                problems.push(format!("line {number}: {problem}"));
            }
        }
        let left = problems.len().saturating_sub(MOST_TOLD);
        problems.truncate(MOST_TOLD);
        if left > 0 {
            problems.push(format!("and {left} lines more"));
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        if users.hashes.is_empty() {
            return Err(
                "there are none: each is a line name:hash, as htpasswd -B writes it".to_owned(),
            );
        }
        Ok(users)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let mut parts = line.split(':');
        let (Some(name), Some(hash)) = (parts.next(), parts.next()) else {
            return Err("expected name:hash, found no colon".to_owned());
        };
        if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            return Err("expected a name before the colon, without blanks around it".to_owned());
        }
        if name.len() > 255 {
            return Err("the name is longer than 255 bytes".to_owned());
        }
        let hash = hash.parse()?;
        if self.hashes.len() == MOST {
            return Err(format!("there are more than {MOST} users"));
        }
        if self
            .by_name
            .insert(name.to_owned(), self.hashes.len())
            .is_some()
        {
            return Err("the same name as in a line before".to_owned());
        }
        self.hashes.push(hash);
        Ok(())
    }
}

impl FilterConfig for Users {
    const SCHEMA: &'static Schema = &Schema::text().secret();

    fn read(value: &serde_json::Value) -> Result<Self, Problem> {
        Self::parse(value.as_str().unwrap_or_default()).map_err(Problem::new)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.hashes.len())
    }
}
