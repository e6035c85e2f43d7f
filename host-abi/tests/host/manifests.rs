//! What modules say about themselves.

use serde_json::json;
use tidegate_host_abi::{AbiVersion, Manifest, ManifestError, PluginSpec};

use super::support::{filter, plugin, spec};

/// A section of a module with these bytes, which must be text.
fn section(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("(@custom \"tidegate.manifest\" \"{text}\")")
}

fn read(sections: &str) -> Result<Option<Manifest>, ManifestError> {
    Manifest::read(&filter(sections))
}

#[test]
fn a_manifest_is_read_without_compiling_and_kept_by_the_module() {
    let text = json!({
        "name": "limit", "version": "1.0.0", "sdk": "0.1.0", "description": "Limits.",
        "kind": "http", "needs": ["stopIteration"], "capabilities": ["dns"],
        "configSchema": { "type": "object" }, "of tomorrow": true,
    });
    let guest = filter(&section(&text.to_string()));
    let manifest = Manifest::read(&guest).unwrap().unwrap();
    assert_eq!(
        (manifest.name.as_str(), manifest.version.as_str()),
        ("limit", "1.0.0")
    );
    assert_eq!(manifest.kind, "http");
    assert_eq!(manifest.capabilities, ["dns"]);
    assert_eq!(manifest.config_schema, Some(json!({ "type": "object" })));
    let plugin = plugin(&guest, spec());
    assert_eq!(plugin.module().manifest(), Ok(Some(&manifest)));
}

#[test]
fn most_modules_say_nothing() {
    assert_eq!(read(""), Ok(None));
    assert_eq!(read("(@custom \"other\" \"{}\")"), Ok(None));
    assert_eq!(Manifest::read(b""), Ok(None));
    assert_eq!(Manifest::read(b"#!/bin/sh"), Ok(None));
    assert_eq!(Manifest::read(b"\0asm\x01\0\0\0\x00\xff"), Ok(None));
    assert_eq!(
        Manifest::read(&wat::parse_str("(component)").unwrap()),
        Ok(None)
    );
}

#[test]
fn a_broken_manifest_is_told_and_the_module_works_without() {
    let told = |sections: &str| read(sections).unwrap_err().to_string();
    assert_eq!(
        told(&section("{")),
        "it is not what a manifest is: EOF while parsing an object at line 1 column 1"
    );
    assert!(told(&section("{\"needs\": 1}")).contains("expected a sequence"));
    assert_eq!(
        told(&section("{\"configSchema\": 1}")),
        "it is not what a manifest is: `configSchema` is no JSON Schema"
    );
    let twice = [section("{}"), section("{}")].concat();
    assert_eq!(told(&twice), "there is more than one");
    let long = " ".repeat((1 << 20) + 1);
    assert_eq!(
        told(&section(&long)),
        "it has 1048577 bytes; at most 1048576 are read"
    );
    let plugin = plugin(&filter(&section("{")), spec());
    assert!(plugin.module().manifest().is_err());
    assert_eq!(plugin.module().abi_version(), AbiVersion::V0_2_1);
}

#[test]
fn a_need_of_the_manifest_is_granted_unless_the_operator_says_otherwise() {
    let guest = filter(&section("{\"needs\": [\"stopIteration\", \"more\"]}"));
    let looks_ahead = |stop_iteration| {
        let spec = PluginSpec {
            stop_iteration,
            ..spec()
        };
        plugin(&guest, spec).stop_iteration()
    };
    assert!(looks_ahead(None));
    assert!(looks_ahead(Some(true)));
    assert!(!looks_ahead(Some(false)));
}
