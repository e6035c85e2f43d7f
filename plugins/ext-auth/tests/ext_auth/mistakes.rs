//! Mistakes in the configuration.

use ext_auth::ext_auth;
use tidegate_sdk_testing::{Harness, json};

use super::config;

#[test]
fn mistakes_in_a_configuration_name_their_place() {
    for (fields, path, why) in [
        (json!({"backend": ""}), "backend", "name of a backend"),
        (
            json!({"pathPrefix": "check"}),
            "pathPrefix",
            "such as /check",
        ),
        (
            json!({"pathPrefix": "/check/"}),
            "pathPrefix",
            "no / at its end",
        ),
        (json!({"pathPrefix": "/check?a"}), "pathPrefix", "no query"),
        (
            json!({"pathPrefix": "/a b"}),
            "pathPrefix",
            "such as /check",
        ),
        (
            json!({"forwardAuth": "verify"}),
            "forwardAuth",
            "such as /check",
        ),
        (
            json!({"forwardAuth": "/v", "pathPrefix": "/c"}),
            "pathPrefix",
            "leave one",
        ),
        (
            json!({"forwardAuth": "/v", "includeRequestBodyInCheck": {"maxRequestBytes": 1}}),
            "includeRequestBodyInCheck",
            "has no body",
        ),
        (json!({"host": "a/b"}), "host", "such as auth.example"),
        (json!({"timeout": "2m"}), "timeout", "to 1m"),
        (
            json!({"statusOnError": 200}),
            "statusOnError",
            "from 400 to 599",
        ),
        (
            json!({"headersToUpstreamOnAllow": ["x-user", "*"]}),
            "headersToUpstreamOnAllow",
            "would remove every header",
        ),
        (
            json!({"includeRequestHeadersInCheck": ["x user"]}),
            "includeRequestHeadersInCheck[0]",
            "such as x-user",
        ),
        (
            json!({"headersToUpstreamOnAllow": ["host"]}),
            "headersToUpstreamOnAllow[0]",
            "belongs to one message",
        ),
        (
            json!({"includeAdditionalHeadersInCheck": {"content-length": "7"}}),
            "includeAdditionalHeadersInCheck",
            "that can be added",
        ),
        (
            json!({"includeAdditionalHeadersInCheck": {"x-a": "1\r\nx-b: 2"}}),
            "includeAdditionalHeadersInCheck",
            "none that a header can have",
        ),
        (
            json!({"includeRequestBodyInCheck": {"maxRequestBytes": "2MiB"}}),
            "includeRequestBodyInCheck.maxRequestBytes",
            "1MiB",
        ),
        (json!({"cache": {"ttl": "2h"}}), "cache.ttl", "1h"),
        (
            json!({"cache": {"ttl": "1s", "key": ["cookie"]}}),
            "cache.key[0]",
            "not told cookie",
        ),
        (
            json!({"cache": {"ttl": "1s"}, "includeRequestBodyInCheck": {"maxRequestBytes": 1}}),
            "cache",
            "that request alone",
        ),
        (json!({"failopen": true}), "failopen", "failOpen"),
    ] {
        let all = config(&fields);
        let refused = Harness::new(ext_auth)
            .config(&all)
            .backend("auth", super::yes)
            .try_start();
        let refused = refused
            .err()
            .unwrap_or_else(|| panic!("it starts with {all}"));
        assert!(refused.contains(path), "{fields}: {refused}");
        assert!(refused.contains(why), "{fields}: {refused}");
    }
}
