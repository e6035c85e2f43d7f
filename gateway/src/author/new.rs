//! `tidegate plugin new`: a folder with a filter that works.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use anyhow::bail;
use tidegate_toolchain::compiler;

use crate::author;
use crate::author::sdk;
use crate::author::template::Template;
use crate::cli::NewArgs;

/// Makes the folder, or nothing.
///
/// # Errors
///
/// What keeps it from being made.
pub(crate) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let name = &args.name;
    let folder = Path::new(name);
    if folder.symlink_metadata().is_ok() {
        bail!(
            "{name} is there already, and nothing was written; choose another name, or remove it"
        );
    }
    compiler::require_rust().context("nothing was written")?;
    let own = match &args.sdk {
        Some(folder) => Some(own_sdk(folder)?),
        None => None,
    };
    let unfinished = PathBuf::from(format!(".{name}.new-{}", std::process::id()));
    let template = Template::of(args.template);
    let made = make(&unfinished, name, &template, own.as_deref())
        .and_then(|()| fs::rename(&unfinished, folder).context("cannot name it"));
    if made.is_err() {
        fs::remove_dir_all(&unfinished).ok();
    }
    made.with_context(|| format!("cannot make the folder {name}"))?;
    let install = compiler::missing_target().map_or_else(String::new, |command| {
        format!("{command}   # the compiler for WebAssembly is not there yet\n  ")
    });
    author::say(&format!(
        "made {name}: {}\n\n  {install}cd {name}\n  \
         tidegate plugin test          # --wasm tests the module in this gateway, --envoy in Envoy\n  \
         tidegate plugin dev           # serves tidegate.yaml, and swaps the filter when you save\n  \
         tidegate plugin build         # makes target/{name}.wasm\n",
        template.summary
    ));
    Ok(())
}

fn make(
    folder: &Path,
    name: &str,
    template: &Template,
    own_sdk: Option<&Path>,
) -> anyhow::Result<()> {
    for (path, text) in template.files() {
        let mut text = text
            .replace("template-name", name)
            .replace("template_name", &name.replace('-', "_"));
        if let (Some(sdk), "Cargo.toml") = (own_sdk, path) {
            text = text.replace(".tidegate/sdk", &sdk.to_string_lossy());
        }
        sdk::put(&folder.join(path), &text)?;
    }
    sdk::put(&folder.join("Cargo.lock"), sdk::lock())?;
    if own_sdk.is_none() {
        sdk::write(folder)?;
    }
    Ok(())
}

/// A folder that is said to have the SDK, as an absolute path.
fn own_sdk(folder: &Path) -> anyhow::Result<PathBuf> {
    let shown = folder.display();
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"tidegate-sdk\"") {
        bail!("--sdk {shown}: that is no folder of the crate tidegate-sdk");
    }
    folder
        .canonicalize()
        .with_context(|| format!("--sdk {shown}"))
}
