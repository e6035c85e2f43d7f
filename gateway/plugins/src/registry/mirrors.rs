//! Other places of the same images.
//!
//! Owns the rewriting of names: `docker.io/library/x` may be asked for at
//! `registry.local/hub/library/x` first, or nowhere else.

use crate::quote;
use crate::reference::Reference;
use crate::reference::ReferenceError;

/// Another place of all images under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// A registry, or a registry and the beginning of a repository's path: `docker.io/library`.
    pub from: String,
    /// What stands there instead: `registry.local/hub`.
    pub to: String,
    /// Nothing is asked for at `from` if the mirror does not have it.
    pub is_only: bool,
}

/// The mirrors, in the order in which they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    mirrors: Vec<Mirror>,
}

/// A mirror that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mirror {text:?} is no registry with an optional path")]
pub struct MirrorError {
    /// What was written.
    pub text: String,
}

impl Mirrors {
    /// These mirrors.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] quotes what is no registry.
    pub fn new(mut mirrors: Vec<Mirror>) -> Result<Self, MirrorError> {
        for mirror in &mut mirrors {
            for place in [&mut mirror.from, &mut mirror.to] {
                *place = checked(place)?;
            }
        }
        Ok(Self { mirrors })
    }

    /// Where to ask for an image, in order.
    pub(crate) fn places(&self, image: &Reference) -> Result<Vec<Reference>, ReferenceError> {
        let name = image.name();
        let found = self.mirrors.iter().filter_map(|mirror| {
            let rest = name.strip_prefix(mirror.from.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((mirror, rest))
        });
        let mut found: Vec<(&Mirror, &str)> = found.collect();
        // The one that says most about the image; of two that say as much, the first.
        let longest = found.iter().map(|(mirror, _)| mirror.from.len()).max();
        found.retain(|(mirror, _)| Some(mirror.from.len()) == longest);
        let mut places = Vec::with_capacity(found.len() + 1);
        for (mirror, rest) in &found {
            places.push(image.renamed(&format!("{}{rest}", mirror.to))?);
        }
        if !found.iter().any(|(mirror, _)| mirror.is_only) {
            places.push(image.clone());
        }
        Ok(places)
    }
}

fn checked(place: &str) -> Result<String, MirrorError> {
    let place = place.trim_end_matches('/');
    let (registry, path) = place.split_once('/').unwrap_or((place, ""));
    let wrong = |_| MirrorError {
        text: quote::short(place),
    };
    // Any repository tells whether the registry is one.
    let probe = format!("{registry}/x/{path}");
    let reference: Reference = probe.trim_end_matches('/').parse().map_err(wrong)?;
    let is_registry = reference.repository().starts_with("x/") || reference.repository() == "x";
    if !is_registry && registry != crate::reference::DOCKER_HUB {
        return Err(MirrorError {
            text: quote::short(place),
        });
    }
    Ok(match path {
        "" => reference.registry().to_owned(),
        path => format!("{}/{path}", reference.registry()),
    })
}

#[cfg(test)]
mod tests {
    use super::Mirror;
    use super::Mirrors;

    fn mirror(from: &str, to: &str, is_only: bool) -> Mirror {
        Mirror {
            from: from.to_owned(),
            to: to.to_owned(),
            is_only,
        }
    }

    #[track_caller]
    fn check(mirrors: &[Mirror], image: &str, expected: &[&str]) {
        let mirrors = Mirrors::new(mirrors.to_vec()).expect("they are fine");
        let places = mirrors.places(&image.parse().unwrap()).expect("names");
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        assert_eq!(places, expected, "{image}");
    }

    #[test]
    fn mirrors_are_asked_first_and_the_longest_name_decides() {
        let mirrors = [
            mirror("docker.io", "registry.local/hub", false),
            mirror("docker.io", "second.local:5000", false),
            mirror("docker.io/me/", "mine.local", true),
        ];
        check(
            &mirrors,
            "filter:1",
            &[
                "registry.local/hub/library/filter:1",
                "second.local:5000/library/filter:1",
                "docker.io/library/filter:1",
            ],
        );
        check(&mirrors, "me/filter", &["mine.local/filter:latest"]);
        check(&mirrors, "ghcr.io/me/filter", &["ghcr.io/me/filter:latest"]);
        check(
            &[mirror("ghcr.io/a", "b.local", false)],
            "ghcr.io/ab/c",
            &["ghcr.io/ab/c:latest"],
        );
    }

    #[test]
    fn what_is_no_registry_is_quoted() {
        for wrong in ["me", "https://a.test", "a.test/A", "a.test:x", ""] {
            let err = Mirrors::new(vec![mirror(wrong, "b.local", false)]).expect_err(wrong);
            assert!(err.to_string().contains(&format!("{wrong:?}")), "{err}");
        }
    }
}
