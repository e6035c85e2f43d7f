//! `tidegate plugin push`: a module as an image in a registry, or an image that is in a folder.

use std::sync::Arc;

use tidegate_plugin_store::Reference;
use tidegate_plugin_store::push::Image;

use crate::author::image;
use crate::author::image::Line;
use crate::author::pack;
use crate::author::say;
use crate::cli::PushArgs;
use crate::pulls::registries;

/// Packs and pushes; prints the reference with the digest.
///
/// # Errors
///
/// A module that is none, or a registry that does not take it.
pub(crate) fn run(args: &PushArgs) -> anyhow::Result<()> {
    let to: Reference = args.reference.parse()?;
    let image = if args.file.is_dir() {
        Image::read_folder(&args.file)?
    } else {
        pack::image(&args.file, &args.image)?.0
    };
    let folder = registries::folder(args.registries.plugin_cache.as_deref());
    let registries = registries::open(&args.registries, folder)?;
    let given = image::given(&args.login);
    let line = Arc::new(Line::new(&format!("pushing {to}")));
    let progress = Arc::clone(&line) as _;
    let pushed = image::wait(registries.push(&to, given.as_ref(), &image, &progress))??;
    line.end();
    let tag = to.tag().map_or_else(String::new, |tag| format!(":{tag}"));
    say(&format!("{}{tag}@{}", to.name(), pushed.digest));
    Ok(())
}
