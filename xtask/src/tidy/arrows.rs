//! Which crate may depend on which: the layers of docs/architecture.md, as a table.
//!
//! Only what a crate itself needs counts; its tests may use anything.

use crate::packages::{Kind, Package};

/// Each crate of ours, and the crates of ours that it may use.
const LAYERS: [(&str, &[&str]); 15] = [
    ("tidegate-core", &[]),
    ("tidegate-host-abi", &[]),
    ("tidegate-builtins", &[]),
    ("tidegate-config", &["tidegate-core"]),
    ("tidegate-plugin-store", &["tidegate-core"]),
    ("tidegate-proxy", &["tidegate-core", "tidegate-host-abi"]),
    (
        "tidegate",
        &[
            "tidegate-builtins",
            "tidegate-config",
            "tidegate-core",
            "tidegate-host-abi",
            "tidegate-plugin-store",
            "tidegate-proxy",
            "tidegate-toolchain",
        ],
    ),
    ("tidegate-policy", &["tidegate-sdk"]),
    ("tidegate-sdk-sys", &[]),
    ("tidegate-sdk-macros", &[]),
    ("tidegate-sdk", &["tidegate-sdk-macros", "tidegate-sdk-sys"]),
    (
        "tidegate-sdk-testing",
        &["tidegate-sdk", "tidegate-sdk-sys"],
    ),
    ("tidegate-benches", ANYTHING),
    ("tidegate-testkit", ANYTHING),
    ("tidegate-toolchain", &[]),
];

/// Stands for every crate of ours.
const ANYTHING: &[&str] = &["*"];

/// Crates of others that only one of ours may know.
const RESERVED: [(&str, &str); 4] = [
    ("gateway-api", "tidegate-config"),
    ("granit-parser", "tidegate-config"),
    ("wasmtime", "tidegate-host-abi"),
    ("wasmtime-environ", "tidegate-host-abi"),
];

/// What decisions as pure code have no use for.
const NOT_IN_CORE: [&str; 6] = ["getrandom", "hyper", "rand", "serde", "serde_json", "tokio"];

/// Every dependency that points the wrong way.
pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages {
        let Some(allowed) = allowed(package) else {
            let name = &package.name;
            problems.push(format!(
                "{name}: not in the table of layers in xtask/src/tidy/arrows.rs"
            ));
            continue;
        };
        let normal = package
            .dependencies
            .iter()
            .filter(|it| it.kind == Kind::Normal);
        for dependency in normal {
            let name = dependency.name.as_str();
            let is_ours = packages.iter().any(|it| it.name == name);
            problems.extend(wrong(&package.name, name, is_ours, allowed));
        }
    }
    problems
}

fn allowed(package: &Package) -> Option<&'static [&'static str]> {
    if package.name == "xtask" {
        return Some(&["tidegate-toolchain"]);
    }
    if package.is_filter() {
        return Some(&["tidegate-policy", "tidegate-sdk"]);
    }
    if package.folder.starts_with("examples") {
        return Some(ANYTHING);
    }
    LAYERS
        .iter()
        .find(|(name, _)| *name == package.name)
        .map(|(_, allowed)| *allowed)
}

fn wrong(from: &str, to: &str, is_ours: bool, allowed: &[&str]) -> Option<String> {
    if is_ours && allowed != ANYTHING && !allowed.contains(&to) {
        return Some(format!(
            "{from} must not depend on {to}: arrows point down only"
        ));
    }
    if let Some((_, owner)) = RESERVED
        .iter()
        .find(|(name, owner)| *name == to && *owner != from)
    {
        return Some(format!(
            "{from} must not depend on {to}: only {owner} may know it"
        ));
    }
    if from == "tidegate-core" && NOT_IN_CORE.contains(&to) {
        return Some(format!(
            "{from} must not depend on {to}: it decides, it does nothing"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Dependency;

    fn package(name: &str, folder: &str, kind: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).into(),
                kind: *kind,
            })
            .collect();
        let crate_types = vec![kind.into()];
        Package {
            name: name.into(),
            folder: folder.into(),
            license: None,
            crate_types,
            dependencies,
        }
    }

    #[track_caller]
    fn check_two(package: Package, expected: &[&str]) {
        let packages = [
            package,
            self::package("tidegate-proxy", "gateway/proxy", "lib", &[]),
            self::package("tidegate-core", "gateway/core", "lib", &[]),
        ];
        assert_eq!(check(&packages), expected);
    }

    #[test]
    fn arrows_point_down_only() {
        check_two(
            package(
                "tidegate-config",
                "",
                "lib",
                &[("tidegate-core", Kind::Normal)],
            ),
            &[],
        );
        check_two(
            package(
                "tidegate-config",
                "",
                "lib",
                &[("tidegate-proxy", Kind::Normal)],
            ),
            &["tidegate-config must not depend on tidegate-proxy: arrows point down only"],
        );
    }

    #[test]
    fn tests_may_use_anything() {
        check_two(
            package(
                "tidegate-config",
                "",
                "lib",
                &[("tidegate-proxy", Kind::Dev)],
            ),
            &[],
        );
    }

    #[test]
    fn a_filter_knows_nothing_of_the_gateway() {
        check_two(
            package(
                "hello",
                "examples/hello",
                "cdylib",
                &[("tidegate-core", Kind::Normal)],
            ),
            &["hello must not depend on tidegate-core: arrows point down only"],
        );
        check_two(
            package(
                "demo",
                "examples/demo",
                "bin",
                &[("tidegate-core", Kind::Normal)],
            ),
            &[],
        );
    }

    #[test]
    fn some_crates_of_others_have_one_owner() {
        check_two(
            package("tidegate", "", "bin", &[("wasmtime", Kind::Normal)]),
            &["tidegate must not depend on wasmtime: only tidegate-host-abi may know it"],
        );
        let core = [package(
            "tidegate-core",
            "",
            "lib",
            &[("serde", Kind::Normal)],
        )];
        assert_eq!(
            check(&core),
            ["tidegate-core must not depend on serde: it decides, it does nothing"]
        );
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        check_two(
            package("tidegate-new", "", "lib", &[]),
            &["tidegate-new: not in the table of layers in xtask/src/tidy/arrows.rs"],
        );
    }
}
