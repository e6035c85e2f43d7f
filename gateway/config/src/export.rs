//! What the schemas of kinds are good for outside: completion in editors, CustomResourceDefinitions,
//! reference pages.
//!
//! All of it follows from the structs of the kinds, so that it cannot say anything else than what is
//! checked.

mod crd;
mod editor;
mod reference;
mod yaml;

use serde_json::Map;
use serde_json::Value as Json;

pub use crd::crds;
pub use editor::json_schema;
pub use reference::reference_page;

use crate::schema::Checker;
use crate::schema::Kind;

/// A kind as data.
#[derive(Debug, Clone, Copy)]
pub struct KindSchema {
    /// The values of `apiVersion` that are read, the current one first.
    pub api_versions: &'static [&'static str],
    /// The value of `kind`.
    pub kind: &'static str,
    /// Whether its resources belong to namespaces.
    pub namespaced: bool,
    checker: &'static Checker,
}

impl KindSchema {
    /// The data of a kind.
    #[must_use]
    pub fn of<T: Kind>() -> Self {
        Self {
            api_versions: T::API_VERSIONS,
            kind: T::KIND,
            namespaced: T::NAMESPACED,
            checker: Checker::of::<T>(),
        }
    }

    /// What its schema says that is neither checked nor exported; empty for every kind of ours.
    #[must_use]
    pub fn not_understood(&self) -> &'static [String] {
        self.checker.not_understood()
    }

    fn schema(&self) -> &'static Json {
        &self.checker.schema
    }

    fn description(&self) -> &'static str {
        text(self.schema(), "description").unwrap_or_default()
    }
}

/// The schemas of fields.
fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object);
    properties.into_iter().flat_map(Map::iter)
}

fn text<'a>(schema: &'a Json, keyword: &str) -> Option<&'a str> {
    schema.get(keyword).and_then(Json::as_str)
}

fn is_set(schema: &Json, keyword: &str) -> bool {
    schema.get(keyword).and_then(Json::as_bool) == Some(true)
}

/// A copy of a schema in which `edit` has changed each schema, the innermost first.
fn edited(schema: &Json, edit: &dyn Fn(&mut Map<String, Json>)) -> Json {
    let Json::Object(schema) = schema else {
        return schema.clone();
    };
    let mut copy = schema.clone();
    if let Some(Json::Object(properties)) = copy.get_mut("properties") {
        for (_, property) in properties.iter_mut() {
            *property = edited(property, edit);
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(child) = copy.get_mut(name) {
            *child = edited(child, edit);
        }
    }
    edit(&mut copy);
    Json::Object(copy)
}

/// Makes ours what no other tool understands: a field that is not supported says so in its description,
/// names of enums are explained there, formats of Rust's integers go.
fn plain(schema: &mut Map<String, Json>) {
    use crate::schema::HIDDEN;
    use crate::schema::MEANINGS;
    use crate::schema::RULE;
    use crate::schema::UNSUPPORTED;
    let mut description: Vec<String> = Vec::new();
    if let Some(Json::String(why)) = schema.get(UNSUPPORTED) {
        description.push(format!("Not supported yet: {why}."));
    }
    if let Some(Json::String(text)) = schema.get("description") {
        description.push(text.clone());
    }
    if let Some(Json::Object(meanings)) = schema.get(MEANINGS) {
        description.extend(
            meanings
                .iter()
                .map(|(name, meaning)| format!("{name}: {}", meaning.as_str().unwrap_or_default())),
        );
    }
    if !description.is_empty() {
        schema.insert(
            "description".to_owned(),
            Json::String(description.join("\n\n")),
        );
    }
    for keyword in [UNSUPPORTED, MEANINGS, RULE, HIDDEN] {
        schema.remove(keyword);
    }
    let format = schema.get("format").and_then(Json::as_str);
    if format.is_some_and(|format| !matches!(format, "int32" | "int64" | "float" | "double")) {
        schema.remove("format");
    }
}
