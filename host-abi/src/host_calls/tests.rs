//! The table of the ABI and the linker must agree.

use crate::functions::IMPORTS;
use crate::{Engine, EngineConfig, Module};

fn wat_types(letters: &str, keyword: &str) -> String {
    let types: Vec<&str> = letters
        .chars()
        .map(|letter| if letter == 'I' { "i64" } else { "i32" })
        .collect();
    if types.is_empty() {
        String::new()
    } else {
        format!("({keyword} {})", types.join(" "))
    }
}

#[test]
fn every_row_is_linked_with_its_signature() {
    let mut imports = String::new();
    for row in IMPORTS {
        for module in row.namespace.modules() {
            let params = wat_types(row.signature.params, "param");
            let result = wat_types(row.signature.result, "result");
            let name = row.name;
            imports += &format!("(import \"{module}\" \"{name}\" (func {params} {result}))\n");
        }
    }
    let engine = Engine::new(EngineConfig {
        instances: 1,
        ..EngineConfig::default()
    })
    .unwrap();
    let module = wat::parse_str(format!(
        r#"(module {imports}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 0))"#
    ))
    .unwrap();
    // Linking checks every type, so nothing needs to run.
    if let Err(error) = Module::compile(&engine, "everything", &module) {
        panic!("{error}");
    }
}
