//! Which case of the matrix uses what, and which tests there are.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::page::ATTRIBUTES;
use super::page::CALLBACKS;
use super::page::FOREIGN;
use crate::matrix::cases::Area;
use crate::matrix::cases::areas;
use crate::matrix::cases::folder;

/// By name, the cases that use it: those as on Envoy first.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    functions: HashMap<String, String>,
    callbacks: HashMap<String, String>,
    attributes: HashMap<String, String>,
    foreign: HashMap<String, String>,
}

impl Uses {
    /// Looks through all cases that were replayed on Envoy.
    #[track_caller]
    pub(crate) fn find() -> Self {
        let mut uses = Self::default();
        for differing in [false, true] {
            for name in areas() {
                uses.area(&Area::read(&name), differing);
            }
        }
        uses
    }

    fn area(&mut self, area: &Area, differing: bool) {
        let path = folder().join(&area.name).with_extension("envoy");
        let envoy = fs::read_to_string(&path).unwrap_or_default();
        for case in &area.cases {
            let section = envoy
                .split("== ")
                .find(|it| it.lines().next() == Some(&case.name));
            let Some(outcome) = section.filter(|_| case.differs.is_some() == differing) else {
                continue;
            };
            let shown = format!("{}: {}", area.name, case.name);
            // What happened, and not what was asked for: a statement that did not run shows nothing.
            for line in outcome.lines() {
                match line.strip_prefix("  ").filter(|line| line.contains(" -> ")) {
                    Some(call) => self.call(call, &shown),
                    None => self.callback(line, &shown),
                }
            }
        }
    }

    fn call(&mut self, call: &str, shown: &str) {
        let mut words = call.split(' ');
        let function = words.next().unwrap_or_default();
        let place = |map: &mut HashMap<String, String>, name: &str| {
            map.entry(name.to_owned())
                .or_insert_with(|| shown.to_owned());
        };
        place(&mut self.functions, function);
        place(&mut self.functions, &format!("proxy_{function}"));
        let argument = words.next().unwrap_or_default();
        match function {
            "get_property" | "set_property" => {
                let path = argument.trim_start_matches('.').trim_matches('\'');
                place(&mut self.attributes, &path.replace("\\0", "."));
            }
            "call_foreign_function" => place(&mut self.foreign, argument.trim_matches('\'')),
            _ => {}
        }
    }

    fn callback(&mut self, line: &str, shown: &str) {
        if let Some(callback) = line.split(' ').nth(2) {
            for host in ["proxy", "envoy"] {
                let name = format!("{host}_on_{callback}");
                let known = self.callbacks.entry(name);
                known.or_insert_with(|| shown.to_owned());
            }
        }
    }

    /// The first case that uses a name.
    pub(crate) fn of(&self, section: &str, name: &str) -> Option<&str> {
        let map = match section {
            CALLBACKS => &self.callbacks,
            ATTRIBUTES => {
                // `request.headers.<name>` is shown by any name.
                if let Some(map) = name.strip_suffix("<name>") {
                    let mut known: Vec<_> = self.attributes.iter().collect();
                    known.sort();
                    let found = known.into_iter().find(|(path, _)| path.starts_with(map));
                    return found.map(|(_, shown)| shown.as_str());
                }
                &self.attributes
            }
            FOREIGN => &self.foreign,
            _ => &self.functions,
        };
        map.get(name).map(String::as_str)
    }
}

/// Whether there is a test `file::name` in host-abi, or `gateway file::name` here.
pub(crate) fn test_exists(test: &str) -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (folder, test) = match test.strip_prefix("gateway ") {
        Some(test) => (here.join("tests/gateway"), test),
        None => (here.join("../host-abi/tests/host"), test),
    };
    let Some((file, name)) = test.rsplit_once("::") else {
        return false;
    };
    let path = folder.join(file.replace("::", "/")).with_extension("rs");
    let source = fs::read_to_string(path).unwrap_or_default();
    source.contains(&format!("#[test]\nfn {name}()"))
}
