//! Values that a Plugin reads from elsewhere: for its environment, and within its configuration.

use bytes::Bytes;

use super::Environment;
use super::references::blamed;
use super::references::not_found;
use super::report::Refusal;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::kinds::Body;
use crate::kinds::plugin::ConfigSource;
use crate::kinds::plugin::EnvSource;
use crate::kinds::plugin::EnvVar;
use crate::kinds::plugin::KeyRef;
use crate::place::Span;
use crate::rules::MAX_CONFIG_BYTES;
use crate::rules::json_bytes;
use crate::rules::secret_bytes;
use crate::suggest::did_you_mean;
use crate::tree::Node;
use crate::value_from;
use crate::written::Written;

/// Why there is no value, and which resource is to blame if it is not the plugin.
pub(super) type Blamed<'a> = (Option<&'a Candidate>, Refusal);

/// Where the values of one Plugin are looked for.
#[derive(Clone, Copy)]
pub(super) struct Values<'v, 'a> {
    pub(super) world: &'v World<'a>,
    pub(super) candidate: &'v Candidate,
    pub(super) env: Environment<'v>,
}

impl<'a> Values<'_, 'a> {
    /// Variables with their values; those without are left out, and handed to `complain` if somebody is
    /// to blame.
    pub(super) fn variables(
        self,
        variables: &[EnvVar],
        complain: &mut dyn FnMut(Blamed<'a>),
    ) -> Vec<(String, String)> {
        let value = |variable: &EnvVar| match self.variable(variable) {
            Ok(value) => value.map(|value| (variable.name.to_string(), value)),
            Err(blamed) => {
                complain(blamed);
                None
            }
        };
        variables.iter().filter_map(value).collect()
    }

    /// The value of a variable. `Ok(None)`: it comes from something that is refused itself.
    fn variable(self, variable: &EnvVar) -> Result<Option<String>, Blamed<'a>> {
        if let Some(value) = &variable.value {
            return Ok(Some(value.value.clone()));
        }
        match &variable.value_from {
            Some(source) => self.of_source(source),
            None => Ok(None),
        }
    }

    /// A configuration with all its values: what the filter is told, and the same with its places.
    /// `None` if a value is missing; those that somebody is to blame for are handed to `complain`.
    pub(super) fn config(
        self,
        config: &Node,
        complain: &mut dyn FnMut(Blamed<'a>),
    ) -> Option<(Bytes, Written)> {
        let mut bytes = 0;
        let filled = value_from::fill(config, &mut |source, span| {
            let found = self.config_value(source, span).and_then(|text| {
                bytes += text.as_ref().map_or(0, String::len);
                if bytes > MAX_CONFIG_BYTES {
                    return Err((None, too_large(span)));
                }
                let format = value_from::format(source);
                let node = text.map(|text| value_from::parse(&text, format, span));
                node.transpose()
                    .map_err(|reason| (None, no_json(source, span, &reason)))
            });
            found.unwrap_or_else(|blamed| {
                complain(blamed);
                None
            })
        });
        let node = filled.config?;
        let told = json_bytes(Some(&node.to_json()));
        if told.len() > MAX_CONFIG_BYTES {
            complain((None, too_large(config.span)));
            return None;
        }
        let mut written = Written::of(node, self.candidate.version.origin.clone());
        written.hidden = filled.places;
        Some((told, written))
    }

    fn config_value(self, source: &ConfigSource, span: Span) -> Result<Option<String>, Blamed<'a>> {
        let Some(name) = &source.file else {
            return self.of_source(&EnvSource {
                env: source.env.clone(),
                secret_key_ref: source.secret_key_ref.clone(),
                config_map_key_ref: source.config_map_key_ref.clone(),
            });
        };
        let mut files = self.candidate.version.values.iter();
        let found = files.find(|(known, _)| *known == **name);
        // Files are read before; not there is a version that was stored without them.
        let (_, text) = found.ok_or_else(|| {
            let refusal = Refusal {
                span,
                reason: "ConfigNotReadable",
                message: format!("`{}` was not read", **name),
                hint: None,
            };
            (None, refusal)
        })?;
        Ok(Some(without_last_break(text).to_owned()))
    }

    fn of_source(self, source: &EnvSource) -> Result<Option<String>, Blamed<'a>> {
        if let Some(name) = &source.env {
            let refusal = || Refusal {
                span: name.span,
                reason: "InvalidParameters",
                message: format!("the gateway has no environment variable `{}`", **name),
                hint: Some("set it where the gateway is started".to_owned()),
            };
            let value = (self.env.variable)(name);
            return value.map(Some).ok_or_else(|| (None, refusal()));
        }
        match (&source.secret_key_ref, &source.config_map_key_ref) {
            (Some(key), _) => self.of_map("Secret", key),
            (None, Some(key)) => self.of_map("ConfigMap", key),
            (None, None) => Ok(None),
        }
    }

    fn of_map(self, kind: &'static str, key: &KeyRef) -> Result<Option<String>, Blamed<'a>> {
        let namespace = self.candidate.namespace();
        let missing = || not_found(self.world, "RefNotFound", kind, namespace, &key.name);
        let found = self
            .world
            .find(self.candidate, kind, namespace, &key.name)
            .ok_or_else(|| (None, missing()))?;
        if found.state == State::Salvaged {
            return Ok(None);
        }
        let had = |before: &Candidate| value_of(before, key).is_ok();
        let value = value_of(found, key);
        value
            .map(Some)
            .map_err(|refusal| blamed(self.candidate, found, refusal, had))
    }
}

/// The value of a key.
fn value_of(found: &Candidate, key: &KeyRef) -> Result<String, Refusal> {
    let refuse = |message: String, hint: Option<String>| Refusal {
        span: key.key.span,
        reason: "RefNotFound",
        message,
        hint,
    };
    let (value, names): (Option<String>, Vec<&str>) = match found.body() {
        Body::ConfigMap(map) => (
            map.data.get(key.key.as_str()).map(|one| one.value.clone()),
            map.data.keys().map(String::as_str).collect(),
        ),
        Body::Secret(secret) => {
            let value = secret_bytes(secret, &key.key).map(String::from_utf8);
            let value = value.transpose().map_err(|_| {
                let message = format!("the value of `{}` is not text", *key.key);
                refuse(message, None)
            })?;
            let names = secret.string_data.keys().chain(secret.data.keys());
            (value, names.map(String::as_str).collect())
        }
        _ => (None, Vec::new()),
    };
    value.ok_or_else(|| {
        let (kind, name) = (found.id().kind, found.full_name());
        let message = format!("{kind} `{name}` has no key `{}`", *key.key);
        refuse(message, did_you_mean(&key.key, names))
    })
}

/// Editors end files with a line break that nobody means.
fn without_last_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn too_large(span: Span) -> Refusal {
    Refusal {
        span,
        reason: "ConfigRefused",
        message: format!("the configuration is larger than {MAX_CONFIG_BYTES} bytes"),
        hint: None,
    }
}

fn no_json(source: &ConfigSource, span: Span, reason: &str) -> Refusal {
    let what = source.file.as_ref().map_or_else(
        || "the value".to_owned(),
        |file| format!("the text of `{}`", **file),
    );
    Refusal {
        span,
        reason: "ConfigRefused",
        message: format!("{what} is no JSON: {reason}"),
        hint: Some("with `format: Text` it is taken as it is".to_owned()),
    }
}
