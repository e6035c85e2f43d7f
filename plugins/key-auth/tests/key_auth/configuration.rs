//! Mistakes in the configuration.

use key_auth::key_auth;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, json};

use crate::{ADA, OLD};

#[test]
fn mistakes_in_the_configuration_say_where_they_are_and_never_show_a_key() {
    let key = |key: Value| json!({"keys": [{"consumer": "ada", "sha256": ADA}, key]});
    let places =
        |places: Value| json!({"keys": [{"consumer": "ada", "sha256": ADA}], "in": places});
    for (config, messages) in [
        (json!({}), ["keys: missing", ""]),
        (json!({"keys": []}), ["keys: expected at least 1", ""]),
        (
            key(json!({"consumer": "b", "sha256": "pl4in-k3y"})),
            ["keys[1].sha256: ", "found text of 9 characters"],
        ),
        (
            key(json!({"consumer": "b", "sha256": 17})),
            ["keys[1].sha256: ", "expected text"],
        ),
        (
            key(json!({"consumer": "b", "sha256": OLD.replace('b', "g")})),
            ["keys[1].sha256: ", "64 hexadecimal digits"],
        ),
        (
            key(
                json!({"consumer": "b", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}),
            ),
            ["keys[1].sha256: ", "the hash of nothing"],
        ),
        (
            key(json!({"consumer": "b", "sha256": ADA})),
            ["keys[1].sha256: ", "the hash of keys[0] too"],
        ),
        (
            key(json!({"consumer": "", "sha256": OLD})),
            ["keys[1].consumer: ", "at least 1 character"],
        ),
        (
            key(json!({"consumer": "b\nx-role: root", "sha256": OLD})),
            ["keys[1].consumer: ", "control characters"],
        ),
        (
            key(json!({"consumer": "b", "sha256": OLD, "notAfter": "tomorrow"})),
            ["keys[1].notAfter: ", "2027-01-31T00:00:00Z"],
        ),
        (
            key(json!({"consumer": "b", "key": "pl4in-k3y"})),
            ["keys[1].key: unknown field", ""],
        ),
        (places(json!([])), ["in: expected at least 1", ""]),
        (
            places(json!(["header"])),
            ["in[0]: expected data with it", ""],
        ),
        (
            places(json!([{"header": "x key"}])),
            ["in[0].header: ", "x key"],
        ),
        (
            places(json!([{"header": "Host"}])),
            ["in[0].header: ", "belongs to the gateway"],
        ),
        (
            places(json!([{"header": "Cookie"}])),
            ["in[0]: ", "write cookie: NAME"],
        ),
        (
            places(json!([{"query": "k"}, {"query": "k"}])),
            ["in[1]: the same place as in[0]", ""],
        ),
        (
            places(json!([{"header": "authorization"}, {"authorization": "Bearer"}])),
            ["in[1]: the same", ""],
        ),
        (
            places(json!([{"authorization": "Api Key"}])),
            ["in[0].authorization: expected one word", ""],
        ),
        (
            json!({"keys": [{"consumer": "ada", "sha256": ADA}], "consumerHeader": "X-Api-Key"}),
            ["consumerHeader: keys are in this header too, by in[0]", ""],
        ),
    ] {
        let Err(refused) = Harness::new(key_auth).config(&config).try_start() else {
            panic!("accepted: {config}");
        };
        for message in messages {
            assert!(refused.contains(message), "{message} in {refused}");
        }
        assert!(!refused.contains("pl4in"), "{refused}");
    }
}
