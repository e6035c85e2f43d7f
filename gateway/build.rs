//! Puts the filter SDK into the binary, so that `tidegate plugin new` needs nothing but it.
//!
//! Owns what of the SDK goes in: its sources and manifests, the parts of the workspace's manifest
//! that those inherit, and the versions of Cargo.lock that it was tested with. What unpacks it is
//! `src/author/sdk.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The crates of the SDK: their folders below the root, in which `src` goes in.
const CRATES: [&str; 4] = ["sdk", "sdk/macros", "sdk/sys", "sdk/testing"];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let root = here.parent().ok_or("the crate has no parent folder")?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["Cargo.toml", "Cargo.lock", "LICENSE", "sdk"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    let mut files = vec![("LICENSE".to_owned(), read(&root.join("LICENSE"))?)];
    let mut manifests = Vec::new();
    for folder in CRATES {
        let manifest = sections(&read(&root.join(folder).join("Cargo.toml"))?, |name| {
            // Tests, and what they need, stay here.
            !matches!(
                name,
                "[dev-dependencies]" | "[[test]]" | "[[bench]]" | "[[example]]"
            )
        });
        manifests.push(manifest.clone());
        files.push((format!("{folder}/Cargo.toml"), manifest));
        let mut sources = Vec::new();
        find_sources(&root.join(folder).join("src"), &mut sources)?;
        sources.sort();
        for path in sources {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            files.push((name, read(&path)?));
        }
    }
    let workspace = workspace(&read(&root.join("Cargo.toml"))?, &manifests)?;
    files.push(("Cargo.toml".to_owned(), workspace));
    files.sort();
    let lock = lock(&read(&root.join("Cargo.lock"))?)?;
    fs::write(out.join("sdk.rs"), table(&files, &lock)?)?;
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|err| format!("cannot read {}: {err}", path.display()).into())
}

/// All Rust files below a folder.
fn find_sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find_sources(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The sections of a manifest whose heads are wanted.
fn sections(manifest: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut kept = String::new();
    let mut keeps = true;
    for line in manifest.lines() {
        if line.starts_with('[') {
            keeps = wanted(line.trim());
        }
        if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The manifest of a workspace of the SDK alone: what its crates inherit and nothing else.
fn workspace(manifest: &str, crates: &[String]) -> Result<String, Failure> {
    let inherited = crates.iter().flat_map(|manifest| manifest.lines());
    let inherited: BTreeSet<&str> = inherited
        .filter(|line| line.contains("workspace = true"))
        .filter_map(|line| line.split(['.', ' ']).next())
        .collect();
    let mut text = String::from(
        "# The SDK as `tidegate` carries it; `tidegate plugin build` writes this folder anew.\n\
         [workspace]\nresolver = \"3\"\nmembers = [",
    );
    text.push_str(&CRATES.map(|folder| format!("\"{folder}\"")).join(", "));
    text.push_str("]\n\n");
    text.push_str(
        &sections(manifest, |name| {
            name == "[workspace.package]" || name.starts_with("[workspace.lints")
        })
        .split_once("[workspace.package]")
        .map(|(_, rest)| format!("[workspace.package]{rest}"))
        .ok_or("no [workspace.package]")?,
    );
    text.push_str("\n[workspace.dependencies]\n");
    let dependencies = sections(manifest, |name| name == "[workspace.dependencies]");
    for line in dependencies.lines() {
        let Some((name, value)) = line.split_once(" = ") else {
            continue;
        };
        if !inherited.contains(name) || name.starts_with('#') {
            continue;
        }
        if value.matches(['[', '{']).count() != value.matches([']', '}']).count() {
            return Err(
                format!("write the dependency {name} in one line: the SDK inherits it").into(),
            );
        }
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

/// The part of Cargo.lock that the SDK's crates lead to.
fn lock(text: &str) -> Result<String, Failure> {
    let packages: Vec<&str> = text.split("[[package]]").skip(1).collect();
    let field = |package: &'_ str, name: &str| {
        let start = format!("{name} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|rest| rest.strip_suffix('"'))
            .map(str::to_owned)
    };
    let mut wanted: Vec<String> = CRATES
        .iter()
        .map(|folder| folder.replace("sdk", "tidegate-sdk").replace('/', "-"))
        .collect();
    let mut kept = BTreeSet::new();
    while let Some(want) = wanted.pop() {
        let mut words = want.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let found = packages.iter().position(|package| {
            field(package, "name").as_deref() == Some(name)
                && version
                    .is_none_or(|version| field(package, "version").as_deref() == Some(version))
        });
        let found = found.ok_or_else(|| format!("Cargo.lock has no {want}"))?;
        if kept.insert(found) {
            let dependencies = packages
                .get(found)
                .and_then(|it| it.split_once("dependencies = ["))
                .map_or("", |(_, rest)| rest);
            wanted.extend(dependencies.lines().filter_map(|line| {
                line.trim()
                    .strip_prefix('"')?
                    .strip_suffix("\",")
                    .map(str::to_owned)
            }));
        }
    }
    let mut lock = String::from(
        "# Written by `tidegate plugin new` with the versions that the SDK was tested with.\nversion = 4\n",
    );
    for at in kept {
        lock.push_str("\n[[package]]");
        lock.push_str(packages.get(at).copied().unwrap_or_default().trim_end());
        lock.push('\n');
    }
    Ok(lock)
}

/// The source text of what `sdk.rs` includes.
fn table(files: &[(String, String)], lock: &str) -> Result<String, Failure> {
    let mut text = String::from(
        "/// The files of the SDK: paths and texts.\nconst FILES: &[(&str, &str)] = &[\n",
    );
    let mut digest = Fnv::default();
    for (name, content) in files {
        writeln!(text, "    ({name:?}, {content:?}),")?;
        digest.add(name.as_bytes());
        digest.add(content.as_bytes());
    }
    writeln!(
        text,
        "];\n/// The locked versions.\nconst LOCK: &str = {lock:?};"
    )?;
    writeln!(
        text,
        "/// Tells one content from another.\nconst DIGEST: &str = \"{:016x}\";",
        digest.0
    )?;
    Ok(text)
}

/// FNV-1a, 64 bits: it tells versions apart and protects from nobody.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain([&0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
