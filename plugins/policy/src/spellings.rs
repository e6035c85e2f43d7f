//! Headers that some backends take for others.
//!
//! CGI (RFC 3875, 4.1.18) and what is made after it (WSGI, PHP, Rack) hand `x-user` and `x_user` to programs
//! as one variable, `HTTP_X_USER`. So whoever says who asks in one of them takes the other out.

use tidegate_sdk::prelude::*;

/// As many headers are removed without looking whether they are there: that costs less than to read them
/// all.
const MOST_BLIND: usize = 8;

/// The other spellings of headers that only a filter may set: with underscores for hyphens, and hyphens for
/// underscores. Made once, in the setup.
#[derive(Debug, Clone)]
pub struct Spellings {
    names: Vec<String>,
    /// All of them, if they are few.
    others: Option<Vec<String>>,
}

impl Spellings {
    /// Those of headers with these names.
    #[must_use]
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let names: Vec<String> = names.into_iter().map(str::to_ascii_lowercase).collect();
        let others = others(&names);
        Self { names, others }
    }

    /// Removes them from a request. The names themselves stay: set or remove these afterwards.
    ///
    /// Costs one call of the host for each, if there are eight at most; else it reads all headers once.
    pub fn remove(&self, req: &mut Request) {
        if let Some(others) = &self.others {
            for name in others {
                req.headers_mut().remove(name);
            }
            return;
        }
        for (name, _) in req.headers().all() {
            let name = name.to_ascii_lowercase();
            if self.has(&name) {
                req.headers_mut().remove(&name);
            }
        }
    }

    /// Whether a name, in lower case, is another spelling.
    fn has(&self, name: &str) -> bool {
        let is_like = |it: &String| is_spelling(name, it);
        self.names.iter().any(is_like) && !self.names.iter().any(|it| it == name)
    }
}

/// Whether two names, in lower case, are the same but for hyphens and underscores.
#[must_use]
pub fn is_spelling(one: &str, other: &str) -> bool {
    one.len() == other.len() && begins_like(one, other)
}

/// Whether a name begins with another one, both in lower case, but for hyphens and underscores.
#[must_use]
pub fn begins_like(name: &str, beginning: &str) -> bool {
    let mut letters = name.bytes().zip(beginning.bytes());
    name.len() >= beginning.len()
        && letters.all(|(one, other)| one == other || is_joint(one) && is_joint(other))
}

const fn is_joint(letter: u8) -> bool {
    matches!(letter, b'-' | b'_')
}

/// All other spellings of names, unless they are many.
fn others(names: &[String]) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let mut spellings = vec![String::new()];
        for letter in name.chars() {
            if !matches!(letter, '-' | '_') {
                spellings.iter_mut().for_each(|it| it.push(letter));
                continue;
            }
            let with = |end: &'static str| spellings.iter().map(move |it| [it, end].concat());
            spellings = with("-").chain(with("_")).collect();
            // One of them is the name.
            if spellings.len() > MOST_BLIND + 1 {
                return None;
            }
        }
        found.append(&mut spellings);
    }
    found.retain(|it| !names.contains(it));
    found.sort_unstable();
    found.dedup();
    (found.len() <= MOST_BLIND).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings(names: &[&str]) -> Spellings {
        Spellings::of(names.iter().copied())
    }

    #[test]
    fn a_header_has_a_spelling_for_each_way_to_write_its_joints() {
        for (names, others) in [
            (&["user"][..], &[][..]),
            (&["X-User"], &["x_user"]),
            (&["x_user"], &["x-user"]),
            (&["x-user", "x_user"], &[]),
            (&["x-user", "x-user", "x-role"], &["x_role", "x_user"]),
            (&["x-user-id"], &["x-user_id", "x_user-id", "x_user_id"]),
        ] {
            let found = spellings(names);
            assert_eq!(found.others.as_deref().unwrap(), others, "{names:?}");
            assert!(others.iter().all(|it| found.has(it)), "{names:?}");
            assert!(!names.iter().any(|it| found.has(&it.to_ascii_lowercase())));
        }
    }

    #[test]
    fn many_spellings_are_not_listed_and_known_all_the_same() {
        let long = "a-".repeat(40);
        let found = spellings(&[&long, "x-user"]);
        assert!(found.others.is_none());
        assert!(found.has(&long.replace('-', "_")));
        assert!(found.has("x_user"));
        for name in ["x-user", "x_users", "x_use", "xauser", &long] {
            assert!(!found.has(name), "{name}");
        }
        let few = ["a-b-c-d", "x-user"];
        assert_eq!(spellings(&few).others.unwrap().len(), MOST_BLIND);
        assert!(spellings(&["a-b-c-d", "x-user", "x-role"]).others.is_none());
    }

    #[test]
    fn beginnings_are_compared_alike() {
        assert!(begins_like("x_auth_user", "x-auth-"));
        assert!(begins_like("anything", ""));
        assert!(!begins_like("x_aut", "x-auth-"));
        assert!(!begins_like("x_other_user", "x-auth-"));
    }
}
