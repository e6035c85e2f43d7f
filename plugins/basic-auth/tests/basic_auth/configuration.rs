//! Mistakes in the configuration.

use basic_auth::basic_auth;
use tidegate_sdk_testing::{Harness, json};

#[test]
fn mistakes_in_the_configuration_say_their_line_and_show_no_secret() {
    let good = "ada:$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm";
    for (users, messages) in [
        (json!(""), ["users: ", "there are none"]),
        (json!("# nobody yet\n\n"), ["users: ", "there are none"]),
        (json!(["ada"]), ["users: ", "expected text"]),
        (
            json!(format!("{good}\nhunter2")),
            ["users: line 2: ", "no colon"],
        ),
        (
            json!(format!("{good}\n\nbob:hunter2")),
            ["users: line 3: ", "in the clear"],
        ),
        (
            json!(format!("{good}\nbob:")),
            ["users: line 2: ", "no hash after the colon"],
        ),
        (
            json!(format!("{good}\n:{{SHA}}x")),
            ["users: line 2: ", "a name before the colon"],
        ),
        (
            json!(format!("{good}\nbob :{{SHA}}x")),
            ["users: line 2: ", "without blanks"],
        ),
        (
            json!(format!("{good}\r\n{good}")),
            ["users: line 2: ", "the same name"],
        ),
        (
            json!(format!("{}:{{SHA}}x", "b".repeat(256))),
            ["users: line 1: ", "longer than 255"],
        ),
        (
            json!("bob:$2y$15$abc\nx\n"),
            ["line 1: the cost of the hash is 15", "line 2: "],
        ),
        (
            json!("hunter2\n".repeat(30)),
            ["line 10: ", "and 20 lines more"],
        ),
    ] {
        let started = Harness::new(basic_auth)
            .config(json!({"users": users}))
            .try_start();
        let Err(refused) = started else {
            panic!("accepted: {users}");
        };
        for message in messages {
            assert!(refused.contains(message), "{message} in {refused}");
        }
        assert!(
            !refused.contains("hunter2") && !refused.contains("Rw9g"),
            "{refused}"
        );
    }
    for (field, value) in [
        ("realm", json!("a\"b")),
        ("remember", json!("0s")),
        ("userHeader", json!("host")),
        ("userHeader", json!("Authorization")),
    ] {
        let mut config = json!({"users": good});
        config[field] = value;
        let refused = Harness::new(basic_auth).config(config).try_start();
        assert!(refused.is_err_and(|it| it.contains(field)), "{field}");
    }
}
