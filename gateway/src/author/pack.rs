//! `tidegate plugin pack`: a module as an image, in a folder; and what an image says about its module.

use std::path::Path;

use anyhow::Context as _;
use tidegate_host_abi::Manifest;
use tidegate_host_abi::Survey;
use tidegate_plugin_store::PluginCode;
use tidegate_plugin_store::push::Description;
use tidegate_plugin_store::push::Format;
use tidegate_plugin_store::push::Image;

use crate::author::say;
use crate::cli::ImageArgs;
use crate::cli::ImageFormat;
use crate::cli::PackArgs;

/// Packs; prints the folder, the image's name in it, and its digest.
///
/// # Errors
///
/// A module that is none, or a folder that cannot be written to.
pub(crate) fn run(args: &PackArgs) -> anyhow::Result<()> {
    let (image, description) = image(&args.file, &args.image)?;
    let tag = args.tag.as_ref().or(description.version.as_ref());
    image.write_folder(&args.output, tag.map(String::as_str))?;
    let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
    say(&format!("{}{tag}@{}", args.output.display(), image.digest));
    Ok(())
}

/// The image of a module, with what it says about it.
///
/// # Errors
///
/// A file that cannot be read, or whose module would not serve.
pub(super) fn image(file: &Path, args: &ImageArgs) -> anyhow::Result<(Image, Description)> {
    let code = tidegate_plugin_store::file::load(file)?;
    let description = describe(file, args, &code)?;
    let format = match args.format {
        ImageFormat::Compat => Format::Compat,
        ImageFormat::Cncf => Format::Cncf,
    };
    let image = Image::new(&code.bytes, format, &description)
        .with_context(|| file.display().to_string())?;
    Ok((image, description))
}

/// What is said about the module, by what it says about itself.
fn describe(file: &Path, args: &ImageArgs, code: &PluginCode) -> anyhow::Result<Description> {
    let file = file.display();
    let survey = Survey::of(&code.bytes).with_context(|| file.to_string())?;
    if let Some(refusal) = &survey.refusal
        && !args.force
    {
        anyhow::bail!("{file} would not serve: {refusal}; --force takes it all the same");
    }
    let manifest = Manifest::read(&code.bytes).ok().flatten();
    let text = |read: fn(&Manifest) -> &String| {
        let text = manifest.as_ref().map(read);
        text.filter(|text| !text.is_empty()).cloned()
    };
    let schema = manifest.as_ref().and_then(|it| it.config_schema.as_ref());
    Ok(Description {
        title: text(|manifest| &manifest.name).or_else(|| Some(code.name.clone())),
        version: text(|manifest| &manifest.version),
        description: text(|manifest| &manifest.description),
        abi: survey.abi.map(|abi| abi.to_string()),
        config_schema: schema.map(ToString::to_string),
        annotations: args.annotations.iter().cloned().collect(),
        ..Description::default()
    })
}
