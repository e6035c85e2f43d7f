//! Shares of a rule's backendRefs that a plugin decides about in place of their weights.
//!
//! A schema of our SDK marks the numbers that are percentages of a rule's requests
//! (`x-tidegate-backend-share`), and the texts that name a backendRef (`x-tidegate-backend-ref`). Owns where
//! they are looked for: fields of the configuration, which are about the last backendRef, and fields of the
//! items of its lists, about the one at the item's place or of the item's name. What they should be is the
//! filter's business.

use serde_json::Value as Json;

use crate::draft::PluginDecl;
use crate::place::Place;
use crate::place::Span;
use crate::tree::Node;
use crate::tree::Value;

/// What marks percentages.
const SHARE: &str = "x-tidegate-backend-share";
/// What marks names.
const NAME: &str = "x-tidegate-backend-ref";

/// What a plugin gives one backendRef.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendShare {
    /// Which one.
    pub of: ShareOf,
    /// The percentage of a rule's requests; `None` is what the others leave.
    pub percent: Option<f64>,
}

/// Which backendRef of a rule is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareOf {
    /// The last.
    Last,
    /// The one at this place.
    Place(usize),
    /// The one whose backend is called this.
    Named(String),
}

/// What a plugin decides about the shares of backendRefs, and where that is written. `None` if it decides
/// nothing of the kind.
#[must_use]
pub fn shares(schema: &Json, decl: &PluginDecl) -> Option<(Place, Vec<BackendShare>)> {
    let written = decl.config_written.as_ref()?;
    let (span, shares) = found(schema, &written.node)?;
    let place = written.place(span);
    Some((place.unwrap_or_else(|| decl.config_place.clone()), shares))
}

fn found(schema: &Json, config: &Node) -> Option<(Span, Vec<BackendShare>)> {
    for (name, of) in properties(schema) {
        let Some(value) = config.field(name) else {
            continue;
        };
        if is_marked(of, SHARE) {
            let last = BackendShare {
                of: ShareOf::Last,
                percent: Some(number(value)?),
            };
            return Some((value.span, vec![last]));
        }
        let item = of.get("items");
        let share = item.and_then(|item| marked(item, SHARE));
        if let (Some(item), Some(share), Value::Seq(items)) = (item, share, &value.value)
            && !items.is_empty()
        {
            let name = marked(item, NAME);
            let of_item = |(place, item): (usize, &Node)| {
                let text = name.and_then(|name| item.field(name));
                let of = match text.map(|text| &text.value) {
                    Some(Value::Str(name)) => ShareOf::Named(name.to_string()),
                    _ => ShareOf::Place(place),
                };
                let percent = item.field(share).and_then(number);
                BackendShare { of, percent }
            };
            let shares = items.iter().enumerate().map(of_item).collect();
            return Some((value.span, shares));
        }
    }
    None
}

/// The fields of a mapping, with their schemas.
fn properties(schema: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object);
    let properties = properties.into_iter().flatten();
    properties.map(|(name, of)| (name.as_str(), of))
}

/// The first field that has a mark.
fn marked<'s>(schema: &'s Json, mark: &str) -> Option<&'s str> {
    let mut found = properties(schema).filter(|(_, of)| is_marked(of, mark));
    found.next().map(|(name, _)| name)
}

fn is_marked(schema: &Json, mark: &str) -> bool {
    schema.get(mark) == Some(&Json::Bool(true))
}

fn number(value: &Node) -> Option<f64> {
    match value.value {
        #[expect(clippy::cast_precision_loss, reason = "it is at most a hundred")]
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(config: Json) -> Option<Vec<BackendShare>> {
        let schema = json!({
            "type": "object",
            "properties": {
                "other": { "type": "number" },
                "weight": { "type": "number", "x-tidegate-backend-share": true },
                "names": { "type": "array", "items": { "type": "string" } },
                "versions": { "type": "array", "items": { "type": "object", "properties": {
                    "name": { "type": "string" },
                    "weight": { "type": "number", "x-tidegate-backend-share": true },
                    "backend": { "type": "string", "x-tidegate-backend-ref": true },
                } } },
            },
        });
        let config = Node::of_json(config, Span::NONE);
        found(&schema, &config).map(|(_, shares)| shares)
    }

    fn share(of: ShareOf, percent: Option<f64>) -> BackendShare {
        BackendShare { of, percent }
    }

    #[test]
    fn marked_numbers_are_shares_of_the_last_or_of_the_one_at_their_place_or_name() {
        for (config, expected) in [
            (json!({}), None),
            (json!({ "other": 7, "names": ["a"], "versions": [] }), None),
            (json!({ "weight": "5%" }), None),
            (
                json!({ "weight": 5 }),
                Some(vec![share(ShareOf::Last, Some(5.0))]),
            ),
            (
                json!({ "versions": [
                    { "name": "a" },
                    { "name": "b", "weight": 2.5, "backend": "shop-b" },
                    { "name": "c", "weight": 7 },
                ] }),
                Some(vec![
                    share(ShareOf::Place(0), None),
                    share(ShareOf::Named("shop-b".to_owned()), Some(2.5)),
                    share(ShareOf::Place(2), Some(7.0)),
                ]),
            ),
        ] {
            assert_eq!(of(config.clone()), expected, "{config}");
        }
    }
}
