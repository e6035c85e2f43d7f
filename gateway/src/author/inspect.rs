//! `tidegate plugin inspect`: how an image is made and who takes it, and everything about its module.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use serde_json::json;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::pull::Pulled;
use tidegate_plugin_store::signatures::Verdict;

use crate::author;
use crate::author::check;
use crate::author::image;
use crate::cli::CheckFormat;
use crate::cli::InspectArgs;
use crate::plugins::in_one_line;

/// Prints what there is to know; exit code 1 if it would not serve here, for want of a signature too.
///
/// # Errors
///
/// An image or file that cannot be had, or has no module.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let image = image::reference(&args.what)?;
    let (head, of_image, code, is_allowed) = match image {
        Some(image) => {
            let given = image::given(&args.login);
            let (pulled, said, needs_signature) =
                image::look_at(&image, given.as_ref(), &args.registries)?;
            let head = text(&pulled, &said);
            let is_allowed = !needs_signature || matches!(pulled.signature, Verdict::Valid { .. });
            let page = about(&image, &pulled, &said);
            (head, page, pulled.code, is_allowed)
        }
        None => {
            let code = image::file(Path::new(&args.what))?;
            (String::new(), Value::Null, code, true)
        }
    };
    let (page, of_module, is_good) = check::about(args.what.clone(), &code)?;
    author::print(&match args.format {
        CheckFormat::Text => with_head(&page, &head),
        CheckFormat::Json => {
            let all = json!({ "image": of_image, "module": of_module });
            format!("{all:#}\n")
        }
    });
    Ok(if is_good && is_allowed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The lines about the image behind the first one of the page, which has the name.
fn with_head(page: &str, head: &str) -> String {
    match page.split_once('\n') {
        Some((first, rest)) => format!("{first}\n{head}{rest}"),
        None => format!("{page}{head}"),
    }
}

/// The lines about an image. What is in it is somebody else's: each is one line, whatever it holds.
fn text(pulled: &Pulled, said: &BTreeMap<String, String>) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, text: &str| {
        // A string takes all that is written.
        writeln!(lines, "{name:<14} {}", in_one_line(text)).ok();
    };
    line("image", &pulled.digest.to_string());
    if pulled.manifest != pulled.digest {
        line(
            "",
            &format!("a list, of which {} is taken", pulled.manifest),
        );
    }
    let module = Digest::from_bytes(pulled.code.digest);
    line("module", &module.to_string());
    line("signature", &pulled.signature.to_string());
    for (key, value) in said {
        line("annotation", &format!("{key}: {value}"));
    }
    let Some(artifact) = &pulled.artifact else {
        return lines;
    };
    let path = artifact.path.as_deref();
    let path = path.map_or_else(String::new, |path| format!(", {path}"));
    line(
        "layout",
        &format!(
            "{}: layer {} of {} ({}{path})",
            artifact.layout, artifact.layer, artifact.layers, artifact.media_type
        ),
    );
    let taken = artifact.accepted.iter();
    let taken: Vec<&str> = taken
        .filter(|one| one.refusal.is_none())
        .map(|one| one.gateway)
        .collect();
    line(
        "taken by",
        &[&["Tidegate"], taken.as_slice()].concat().join(", "),
    );
    for one in &artifact.accepted {
        if let Some(refusal) = &one.refusal {
            line("refused by", &format!("{}: {refusal}", one.gateway));
        }
    }
    lines
}

/// The same for programs.
fn about(image: &Reference, pulled: &Pulled, said: &BTreeMap<String, String>) -> Value {
    let artifact = pulled.artifact.as_ref();
    let accepted = artifact.iter().flat_map(|artifact| &artifact.accepted);
    let accepted: Vec<Value> = accepted
        .map(|one| json!({ "gateway": one.gateway, "refusal": one.refusal }))
        .collect();
    json!({
        "reference": image.to_string(),
        "digest": pulled.digest.to_string(),
        "manifest": pulled.manifest.to_string(),
        "signature": match &pulled.signature {
            Verdict::Valid { key, form } => json!({
                "valid": true, "key": key, "form": form.to_string(),
            }),
            Verdict::Missing(why) => json!({ "valid": false, "message": why.to_string() }),
            _ => Value::Null,
        },
        "layout": artifact.map(|artifact| artifact.layout.to_string()),
        "layer": artifact.map(|artifact| artifact.layer),
        "layers": artifact.map(|artifact| artifact.layers),
        "mediaType": artifact.map(|artifact| &artifact.media_type),
        "path": artifact.and_then(|artifact| artifact.path.as_ref()),
        "annotations": said,
        "acceptedBy": accepted,
    })
}
