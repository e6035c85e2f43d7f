//! Compiles the policy filters to WebAssembly and puts them into the crate.
//!
//! Owns where they are built: in the folder that `cargo xtask plugins` uses too, so that neither does
//! the other's work again. `TIDEGATE_BUILTINS` names a folder of finished modules to take instead, or
//! is `none`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use tidegate_toolchain::compiler;
use tidegate_toolchain::compiler::Machine;
use tidegate_toolchain::compiler::TARGET;
use tidegate_toolchain::process;

/// The variable that says where modules come from.
const WISH: &str = "TIDEGATE_BUILTINS";

fn main() -> Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here
        .ancestors()
        .nth(2)
        .context("the crate is not in its workspace")?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={WISH}");
    let names = filters(&root.join("plugins"))?;
    let wish = env::var(WISH).unwrap_or_default();
    let modules = match wish.as_str() {
        "none" => Vec::new(),
        "" => built(root, &names)?,
        folder => names
            .iter()
            .map(|name| (name.clone(), Path::new(folder).join(format!("{name}.wasm"))))
            .collect(),
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("modules.rs"), table(&modules)?)?;
    Ok(())
}

/// The packages that are filters, sorted.
fn filters(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("\"cdylib\"") {
            let name = path.file_name().context("a folder without a name")?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Compiles the filters; their names, and the files that they are in.
fn built(root: &Path, names: &[String]) -> Result<Vec<(String, PathBuf)>> {
    for name in ["Cargo.toml", "Cargo.lock", "plugins", "sdk"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = compiler::choose(None, &Bystander).with_context(|| {
        format!(
            "the filters that come with Tidegate need a compiler for {TARGET}; `cargo xtask plugins` sets \
             one up, and {WISH}=none builds a gateway without them"
        )
    })?;
    let folder = root.join("target/wasm").join(found.toolchain.name());
    let mut cargo = found.toolchain.cargo_build();
    // What the cargo that started us says to its own compiler.
    for name in [
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(root)
        .args(["--profile", "plugin", "--target", TARGET])
        .arg("--target-dir")
        .arg(&folder);
    for name in names {
        cargo.args(["-p", name]);
    }
    process::output(&mut cargo).context("cannot build the filters that come with Tidegate")?;
    let modules = folder.join(TARGET).join("plugin");
    Ok(names
        .iter()
        .map(|name| {
            let file = format!("{}.wasm", name.replace('-', "_"));
            (name.clone(), modules.join(file))
        })
        .collect())
}

/// The source text that the crate includes. The modules are copied, because the folder that they are in
/// may change.
fn table(modules: &[(String, PathBuf)]) -> Result<String> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut text = String::from("const MODULES: &[Builtin] = &[\n");
    for (name, file) in modules {
        println!("cargo::rerun-if-changed={}", file.display());
        let copy = out.join(format!("{name}.wasm"));
        fs::copy(file, &copy).with_context(|| format!("there is no {}", file.display()))?;
        writeln!(
            text,
            "    Builtin {{ name: {name:?}, module: include_bytes!({:?}) }},",
            copy.display().to_string()
        )?;
    }
    text.push_str("];\n");
    Ok(text)
}

/// Nothing is installed in the middle of a build.
struct Bystander;

impl Machine for Bystander {
    fn say(&self, line: &str) {
        println!("cargo::warning={line}");
    }

    fn may_add_target(&self) -> bool {
        false
    }

    fn ensure_debian(&self, packages: &[&str]) -> Result<()> {
        let missing: Vec<&str> = packages
            .iter()
            .copied()
            .filter(|it| !compiler::is_debian_installed(it))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        bail!("not installed: {}", missing.join(", "))
    }
}
