//! The example for embedders does what it says.

#[path = "../../examples/host_a_filter.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod host_a_filter;

use super::support::{filter, on_headers};

#[test]
fn a_filter_is_hosted_without_a_gateway() {
    let guest = filter(&format!(
        r#"{} (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (i32.eq (local.get 1) (i32.const 5)))"#,
        on_headers(
            r#"(drop (call $proxy_add_header_map_value (i32.const 0) @"x-filter" @"was here"))
               (drop (call $proxy_send_local_response (i32.const 418)
                   @"" @"short" (i32.const 0) (i32.const 0) (i32.const -1)))"#
        )
    ));
    let name = format!("tidegate-embedding-{}.wasm", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, guest).unwrap();
    let run = |config| {
        let mut out = Vec::new();
        let ran = host_a_filter::host(file.to_str().unwrap(), config, &mut out);
        ran.map(|()| String::from_utf8(out).unwrap())
            .map_err(|error| error.to_string())
    };
    let (ran, refused) = (run("hello"), run(""));
    std::fs::remove_file(&file).unwrap();
    let expected = "Continue\n:method: GET\n:path: /\n:authority: localhost\nx-filter: was here\n\
                    answered with 418: short\n";
    assert_eq!(ran.as_deref(), Ok(expected));
    let refused = refused.unwrap_err();
    assert!(refused.contains("refused to be configured"), "{refused}");
}
