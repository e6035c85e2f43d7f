//! What is refused of a configuration.

use tidegate_sdk_testing::{Harness, json};

use super::rate_limit;

#[test]
fn mistakes_in_a_configuration_name_their_place() {
    let limit = |more: &serde_json::Value| {
        let mut limit = json!({"requests": 10, "window": "1s"});
        let fields = limit.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        json!({"limits": [limit]})
    };
    for (config, path, why) in [
        (json!({}), "limits", "missing"),
        (json!({"limits": []}), "limits", "at least 1"),
        (
            json!({"limits": [{"window": "1s"}]}),
            "limits[0]",
            "requests",
        ),
        (json!({"limits": [{"requests": 1}]}), "limits[0]", "window"),
        (
            limit(&json!({"window": "0s"})),
            "limits[0].window",
            "from 1ms",
        ),
        (
            limit(&json!({"window": "9000h"})),
            "limits[0].window",
            "to 8784h",
        ),
        (
            limit(&json!({"requests": 0})),
            "limits[0].requests",
            "from 1",
        ),
        (limit(&json!({"burst": 0})), "limits[0].burst", "from 1"),
        (
            limit(&json!({"requests": 1_000_000, "window": "1ms"})),
            "limits[0].requests",
            "100 million",
        ),
        (
            limit(&json!({"requests": 1, "window": "1h", "burst": 9_000})),
            "limits[0].burst",
            "8784h",
        ),
        (limit(&json!({"cost": 11})), "limits[0].cost", "ever"),
        (
            limit(&json!({"key": ["user"]})),
            "limits[0].key[0]",
            "clientIp",
        ),
        (
            limit(&json!({"key": [{"headr": "x"}]})),
            "limits[0].key[0]",
            "header",
        ),
        (
            limit(&json!({"key": [{"header": "x y"}]})),
            "limits[0].key[0].header",
            "x-user",
        ),
        (limit(&json!({"name": "Per User"})), "limits[0].name", "a-z"),
        (
            limit(&json!({"match": [{}]})),
            "limits[0].match[0]",
            "all requests",
        ),
        (
            limit(&json!({"except": [{"methods": ["POST", "get"]}]})),
            "limits[0].except[0].methods[1]",
            "such as POST",
        ),
        (
            limit(&json!({"match": [{"paths": ["/a*b"]}]})),
            "limits[0].match[0].paths[0]",
            "stars",
        ),
        (
            limit(&json!({"match": [{"headers": {"x y": "1"}}]})),
            "limits[0].match[0].headers",
            "x-user",
        ),
        (
            limit(&json!({"store": "memory"})),
            "limits[0].store",
            "local",
        ),
        (limit(&json!({"burts": 1})), "limits[0].burts", "burst"),
        (
            json!({"limits": [
                {"requests": 1, "window": "1s"},
                {"requests": 2, "window": "1000ms"},
            ]}),
            "limits[1].name",
            "all-1s",
        ),
        (
            json!({"limits": [{"requests": 1, "window": "1s"}], "statusCode": 200}),
            "statusCode",
            "400",
        ),
    ] {
        let refused = Harness::new(rate_limit).config(&config).try_start();
        let refused = refused
            .err()
            .unwrap_or_else(|| panic!("it starts with {config}"));
        assert!(refused.contains(path), "{config}: {refused}");
        assert!(refused.contains(why), "{config}: {refused}");
    }
}
