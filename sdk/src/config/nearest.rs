//! The nearest of the names that exist, for "did you mean".

use super::schema::Variant;

/// Adds the nearest name, or all of them if there are few.
pub(super) fn push_hint(
    message: &mut String,
    found: &str,
    names: impl Iterator<Item = &'static str> + Clone,
    none: &str,
) {
    if let Some(near) = nearest_of(found, names.clone()) {
        message.push_str("; did you mean `");
        message.push_str(near);
        message.push_str("`?");
        return;
    }
    let mut any = false;
    for name in names {
        message.push_str(if any { ", `" } else { "; known are `" });
        message.push_str(name);
        message.push('`');
        any = true;
    }
    if !any {
        message.push_str(none);
    }
}

pub(super) fn nearest(found: &str, variants: &'static [Variant]) -> Option<&'static str> {
    nearest_of(found, variants.iter().map(|variant| variant.name))
}

/// The name that a misspelt one is nearest to, if any is near.
fn nearest_of(found: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    const LONGEST: usize = 64;
    if found.len() > LONGEST {
        return None;
    }
    let limit = (found.len() / 3).min(4);
    let near = names.map(|name| (distance(found.as_bytes(), name.as_bytes()), name));
    near.filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters differ, upper and lower case aside.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let Some((first, rest)) = row.split_first_mut() else {
            break;
        };
        *first = left;
        for (above, b) in rest.iter_mut().zip(other) {
            let change = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = *above;
            left = change.min(left + 1).min(*above + 1);
            *above = left;
        }
    }
    row.last().copied().unwrap_or(one.len())
}
