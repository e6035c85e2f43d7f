//! Mistakes in the configuration of limits that a service keeps.

use rate_limit::rate_limit;
use tidegate_sdk_testing::{Harness, json};

#[test]
fn mistakes_name_their_place() {
    let store = json!({"rls": {"backend": "limiter", "domain": "edge"}});
    for (limit, path, why) in [
        (
            json!({"key": ["path"], "store": store}),
            "limits[0].failureMode",
            "local needs `requests` and `window`",
        ),
        (
            json!({"key": ["path"], "store": store, "failureMode": "open", "requests": 5}),
            "limits[0].window",
            "missing",
        ),
        (
            json!({"key": ["path"], "window": "1s"}),
            "limits[0].requests",
            "missing",
        ),
        (json!({"key": ["path"]}), "limits[0].requests", "missing"),
        (
            json!({"store": store, "failureMode": "open"}),
            "limits[0].key",
            "such as {const: all}",
        ),
        (
            json!({"key": ["path", "method"], "descriptorKeys": ["a"], "store": store, "failureMode": "open"}),
            "limits[0].descriptorKeys",
            "one name for each part",
        ),
        (
            json!({"key": [{"header": "x"}, "clientIp"], "whenMissing": "share", "store": store, "failureMode": "open"}),
            "limits[0].whenMissing",
            "const: all",
        ),
        (
            json!({"key": ["path"], "descriptorKeys": [""], "store": store, "failureMode": "open"}),
            "limits[0].descriptorKeys[0]",
            "",
        ),
        (
            json!({"key": ["path"], "descriptorKeys": ["a"], "requests": 1, "window": "1s"}),
            "limits[0].descriptorKeys",
            "only the store rls",
        ),
        (
            json!({"key": ["path"], "failureMode": "open", "store": {"rls": {"backend": "limiter"}}}),
            "limits[0].store.rls",
            "domain",
        ),
        (
            json!({"key": ["path"], "failureMode": "open", "store": {"rls": {
                "backend": "limiter", "domain": "edge", "timeout": "0s",
            }}}),
            "limits[0].store.rls.timeout",
            "1ms",
        ),
    ] {
        let config = json!({"limits": [limit]});
        let harness = Harness::new(rate_limit).config(&config).try_start();
        let problem = harness
            .err()
            .unwrap_or_else(|| panic!("{config} is accepted"));
        assert!(problem.contains(path) && problem.contains(why), "{problem}");
    }
}
