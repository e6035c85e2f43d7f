//! A report for people.

use std::fmt::Write as _;

use tidegate_host_abi::ImportVerdict;
use tidegate_host_abi::Manifest;
use tidegate_toolchain::sizes::kib;

use crate::author::check::Config;
use crate::author::check::Report;
use crate::author::check::fields::fields;
use crate::author::check::notes;
use crate::plugins::in_one_line;

/// Bytes of a page of WebAssembly's memory, in KiB.
const PAGE_KIB: u64 = 64;

/// The whole page. Names in it are the module's: they are shown in one line each, whatever is in them.
pub(super) fn page(report: &Report, config: Option<&Config>) -> String {
    let mut page = head(report);
    let mut line = |name: &str, text: &str| {
        // A string takes all that is written.
        writeln!(page, "{name:<14} {}", in_one_line(text)).ok();
    };
    line(
        "size",
        &format!(
            "{} KiB; {} KiB without the names of functions",
            kib(report.sizes.total),
            kib(report.sizes.bare())
        ),
    );
    line("memory", &memory(report));
    line("exports", &report.survey.exports.join(" "));
    imports(report, &mut line);
    let needs = if notes::needs_stop_iteration(&report.survey, &report.manifest) {
        "stopIteration: bodies while it holds headers back"
    } else {
        "nothing beyond the ABI"
    };
    line("needs", needs);
    let capabilities = notes::capabilities(&report.survey, &report.manifest);
    if capabilities.is_empty() {
        line("capabilities", "none");
    }
    for (name, how) in capabilities {
        line("capabilities", &format!("{name}: {how}"));
    }
    configuration(report, &mut line);
    for host in ["tidegate", "envoy", "istio"] {
        let notes = || report.notes.iter().filter(|note| note.host == host);
        if host != "tidegate" && report.survey.abi.is_some() && !notes().any(|it| it.is_obstacle) {
            line(host, "runs it as it is");
        }
        for note in notes() {
            line(host, &note.text);
        }
    }
    verdict(report, config, &mut page);
    page
}

fn head(report: &Report) -> String {
    let abi = report.survey.abi.map_or_else(
        || "no Proxy-Wasm filter".to_owned(),
        |abi| format!("Proxy-Wasm {abi}"),
    );
    let said = match &report.manifest {
        Ok(Some(manifest)) => about(manifest),
        _ => "it says nothing about itself".to_owned(),
    };
    let file = &report.file;
    format!("{file}: {abi}; {}\n", in_one_line(&said))
}

/// What a module says about itself, in a few lines; nothing if it says nothing.
pub(super) fn summary(manifest: &Manifest) -> String {
    let mut lines = in_one_line(&about(manifest));
    lines.push('\n');
    let mut list = |name: &str, items: &[String]| {
        if !items.is_empty() {
            // A string takes all that is written.
            writeln!(lines, "{name} {}", in_one_line(&items.join(", "))).ok();
        }
    };
    list("needs:", &manifest.needs);
    list("capabilities:", &manifest.capabilities);
    let schema = manifest.config_schema.as_ref();
    let fields = schema.map(fields).unwrap_or_default();
    let paths: Vec<String> = fields.into_iter().map(|field| field.path).collect();
    list("configuration:", &paths);
    lines
}

fn about(manifest: &Manifest) -> String {
    let Manifest {
        name,
        version,
        sdk,
        description,
        kind,
        ..
    } = manifest;
    let kind = match kind.as_str() {
        "network" => "filters connections",
        _ => "filters requests",
    };
    let mut text = format!("{name} {version} {kind}");
    if !sdk.is_empty() {
        write!(text, ", made with SDK {sdk}").ok();
    }
    if !description.is_empty() {
        write!(text, ": {description}").ok();
    }
    text
}

fn memory(report: &Report) -> String {
    let Some(memory) = report.survey.memory else {
        return "none of its own".to_owned();
    };
    let kib = memory.initial_pages.saturating_mul(PAGE_KIB);
    let most = memory.maximum_pages.map_or_else(
        || "no maximum but the Plugin's `limits.memory`".to_owned(),
        |pages| format!("at most {} KiB", pages.saturating_mul(PAGE_KIB)),
    );
    format!("{kib} KiB at the start, {most}")
}

fn imports(report: &Report, line: &mut impl FnMut(&str, &str)) {
    let imports = &report.survey.imports;
    let given = |import: &&_| -> bool {
        let import: &tidegate_host_abi::SurveyedImport = import;
        import.here == ImportVerdict::Given
    };
    let names: Vec<&str> = imports
        .iter()
        .filter(given)
        .map(|import| import.name.as_str())
        .collect();
    line(
        "imports",
        &format!("{} that are there: {}", names.len(), names.join(" ")),
    );
    for import in imports {
        if let Some(fault) = notes::fault(&import.here, import.is_found_in()) {
            line(
                "imports",
                &format!("{}.{}: {fault}", import.module, import.name),
            );
        }
    }
}

fn configuration(report: &Report, line: &mut impl FnMut(&str, &str)) {
    let manifest = report.manifest.as_ref().ok().and_then(Option::as_ref);
    let Some(schema) = manifest.and_then(|manifest| manifest.config_schema.as_ref()) else {
        line("configuration", "it does not say what it takes");
        return;
    };
    let fields = fields(schema);
    if fields.is_empty() {
        line(
            "configuration",
            "none, or of one value; --format json has the schema",
        );
    }
    for field in fields {
        let mut text = format!("{}: {}", field.path, field.kind);
        if !field.description.is_empty() {
            write!(text, ". {}", field.description).ok();
        }
        line("configuration", &text);
    }
}

fn verdict(report: &Report, config: Option<&Config>, page: &mut String) {
    if let Some(config) = config
        && !report.problems.is_empty()
    {
        page.push('\n');
        page.push_str(&config.render(&report.problems));
    }
    page.push('\n');
    for error in &report.errors {
        writeln!(page, "error: {}", in_one_line(error)).ok();
    }
    page.push_str(match (report.is_good(), report.started) {
        (true, true) => "it starts with this configuration, and serves here\n",
        (true, false) => "it serves here; with --config it is also started\n",
        (false, _) => "it does not serve here\n",
    });
}
