//! The nearest of the names that exist, for "did you mean".

/// The candidate that `name` is most likely a misspelling of; `None` if none is near.
///
/// Upper and lower case do not count as a difference; a name may differ in a third of its letters. Of
/// several equally near ones, the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer names are no misspellings, and distance takes time by the product of the lengths.
    const LONGEST: usize = 256;
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    let limit = (lower.chars().count() / 3).min(4);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        // A difference of lengths is a lower bound of the distance, and costs nothing.
        if candidate.len() > LONGEST || candidate.len().abs_diff(lower.len()) > 2 * limit {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The hint for a name that does not exist: ``did you mean `api`?``.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;
    use super::nearest;

    const NAMES: [&str; 4] = ["hostnames", "parentRefs", "rules", "name"];

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        assert_eq!(nearest("hostname", NAMES), Some("hostnames"));
        assert_eq!(nearest("parentrefs", NAMES), Some("parentRefs"));
        assert_eq!(nearest("ruels", NAMES), Some("rules"));
        assert_eq!(
            did_you_mean("nmae", NAMES).as_deref(),
            Some("did you mean `name`?")
        );
    }

    #[test]
    fn an_unlike_name_finds_none() {
        assert_eq!(nearest("filters", NAMES), None);
        assert_eq!(nearest("", NAMES), None);
        assert_eq!(nearest("x", NAMES), None);
        assert_eq!(nearest("a", ["b", "c"]), None);
        assert_eq!(nearest(&"n".repeat(1_000_000), NAMES), None);
    }
}
