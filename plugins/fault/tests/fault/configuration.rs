//! Mistakes in the configuration.

use fault::fault;
use tidegate_sdk_testing::{Harness, json};

#[test]
fn mistakes_in_the_configuration_say_where_they_are() {
    let abort = |abort| json!({"abort": abort});
    let delay = |delay| json!({"delay": delay});
    let header = |header| json!({"allowHeaderControl": true, "headers": [{"name": "x-a"}, header]});
    for (config, message) in [
        (
            json!({}),
            "expected at least one of abort, delay, bandwidth",
        ),
        (
            json!({"abort": {}}),
            "abort: expected one of httpStatus and grpcStatus",
        ),
        (
            abort(json!({"httpStatus": 503, "grpcStatus": 14})),
            "abort: expected one of httpStatus and grpcStatus",
        ),
        (abort(json!({"httpStatus": 199})), "abort.httpStatus: "),
        (abort(json!({"httpStatus": 600})), "abort.httpStatus: "),
        (abort(json!({"grpcStatus": 0})), "abort.grpcStatus: "),
        (abort(json!({"grpcStatus": 17})), "abort.grpcStatus: "),
        (
            abort(json!({"httpStatus": 503, "percentage": 100.5})),
            "abort.percentage: ",
        ),
        (
            abort(json!({"httpStatus": 503, "percentage": -1})),
            "abort.percentage: ",
        ),
        (
            abort(json!({"httpStatus": 503, "percentage": "5%"})),
            "abort.percentage: ",
        ),
        (
            abort(json!({"httpStatus": 503, "attempts": 0})),
            "abort.attempts: ",
        ),
        (delay(json!({})), "delay: expected one of fixed, uniform"),
        (
            delay(json!({"fixed": "1s", "uniform": {"min": "1s", "max": "2s"}})),
            "delay: expected one of fixed, uniform",
        ),
        (delay(json!({"fixed": "0s"})), "delay.fixed: "),
        (delay(json!({"fixed": "61m"})), "delay.fixed: "),
        (delay(json!({"fixed": 2})), "delay.fixed: "),
        (
            delay(json!({"uniform": {"min": "2s", "max": "1s"}})),
            "delay.uniform: expected a max that is not below min",
        ),
        (
            delay(json!({"exponential": {"mean": "2s", "max": "1s"}})),
            "delay.exponential: expected a max that is not below mean",
        ),
        (
            delay(json!({"exponential": {"mean": "2s"}})),
            "delay.exponential.max: missing",
        ),
        (
            header(json!({"name": "x b"})),
            "headers[1].name: expected the name of a header",
        ),
        (
            header(json!({"name": "x-b", "exact": "1", "prefix": "1"})),
            "headers[1]: expected only one of exact, prefix and present",
        ),
        (
            json!({"allowHeaderControl": true, "maxActiveFaults": 0}),
            "maxActiveFaults: ",
        ),
        (
            json!({"abort": {"httpStatus": 503}, "dryrun": true}),
            "dryrun: unknown field",
        ),
    ] {
        let refused = Harness::new(fault).config(&config).try_start();
        let Err(said) = refused else {
            panic!("{config} is taken");
        };
        assert!(said.contains(message), "{config}: {said}");
    }
}
