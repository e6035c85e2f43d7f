//! `tidegate plugin pull`: the module of an image, as a file.

use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::Reference;

use crate::author::image;
use crate::author::say;
use crate::cli::PullArgs;

/// Pulls and writes.
///
/// # Errors
///
/// Why there is no image, or no file.
pub(crate) fn run(args: &PullArgs) -> anyhow::Result<()> {
    let image: Reference = args.reference.parse()?;
    let given = image::given(&args.login);
    let (pulled, _) = image::pull(&image, given.as_ref(), &args.registries)?;
    let module = &pulled.code.bytes;
    let file = match &args.output {
        Some(output) if output.as_os_str() == "-" => {
            let written = std::io::stdout().lock().write_all(module);
            return written.context("cannot write to standard output");
        }
        Some(output) => output.clone(),
        None => PathBuf::from(format!("{}.wasm", pulled.code.name)),
    };
    write(&file, module).with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!(
        "{} (module {} of image {})",
        file.display(),
        Digest::from_bytes(pulled.code.digest),
        pulled.digest
    ));
    Ok(())
}

/// Puts a file in place as a whole.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let put = || {
        std::fs::write(&beside, bytes)?;
        std::fs::rename(&beside, file)
    };
    put().inspect_err(|_| {
        std::fs::remove_file(&beside).ok();
    })
}
