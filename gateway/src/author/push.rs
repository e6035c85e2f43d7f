//! `tidegate plugin push`: a module as an image in a registry.

use std::sync::Arc;

use anyhow::Context as _;
use tidegate_host_abi::Manifest;
use tidegate_host_abi::Survey;
use tidegate_plugin_store::PluginCode;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::push::Description;
use tidegate_plugin_store::push::Format;
use tidegate_plugin_store::push::Image;

use crate::author::image;
use crate::author::image::Line;
use crate::author::say;
use crate::cli::ImageFormat;
use crate::cli::PushArgs;
use crate::pulls::registries;

/// Packs and pushes; prints the reference with the digest.
///
/// # Errors
///
/// A module that is none, or a registry that does not take it.
pub(crate) fn run(args: &PushArgs) -> anyhow::Result<()> {
    let to: Reference = args.reference.parse()?;
    let code = tidegate_plugin_store::file::load(&args.file)?;
    let description = describe(args, &code)?;
    let format = match args.format {
        ImageFormat::Compat => Format::Compat,
        ImageFormat::Cncf => Format::Cncf,
    };
    let image = Image::new(&code.bytes, format, &description)
        .with_context(|| args.file.display().to_string())?;
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

/// What is said about the module, by what it says about itself.
fn describe(args: &PushArgs, code: &PluginCode) -> anyhow::Result<Description> {
    let file = args.file.display();
    let survey = Survey::of(&code.bytes).with_context(|| file.to_string())?;
    if let Some(refusal) = &survey.refusal
        && !args.force
    {
        anyhow::bail!("{file} would not serve: {refusal}; --force pushes it all the same");
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
