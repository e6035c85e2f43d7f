//! A report for programs.

use serde_json::Value;
use serde_json::json;
use tidegate_host_abi::ImportVerdict;

use crate::author::check::Report;
use crate::author::check::notes;

/// The whole page: one object.
pub(super) fn page(report: &Report) -> Value {
    let survey = &report.survey;
    let imports = survey.imports.iter().map(|import| {
        json!({
            "module": import.module,
            "name": import.name,
            "here": match import.here {
                ImportVerdict::Given => "given",
                ImportVerdict::Missing => "missing",
                ImportVerdict::Differs { .. } => "differs",
            },
            "fault": notes::fault(&import.here, import.is_found_in()),
            "inEnvoy": import.in_envoy,
            "wasi": import.wasi,
        })
    });
    let notes = report
        .notes
        .iter()
        .map(|note| json!({"host": note.host, "obstacle": note.is_obstacle, "text": note.text}));
    let capabilities = notes::capabilities(survey, &report.manifest);
    let capabilities: Vec<&str> = capabilities.into_iter().map(|(name, _)| name).collect();
    let problems = report.problems.iter().map(|problem| {
        let place = problem.place.as_ref();
        json!({
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "message": problem.message,
            "hint": problem.hint,
        })
    });
    json!({
        "file": report.file,
        "serves": report.is_good(),
        "started": report.started,
        "errors": report.errors,
        "problems": problems.collect::<Vec<_>>(),
        "abi": survey.abi.map(|abi| abi.to_string()),
        "size": report.sizes.total,
        "sizeWithoutNames": report.sizes.bare(),
        "memory": survey.memory.map(|memory| json!({
            "initialPages": memory.initial_pages,
            "maximumPages": memory.maximum_pages,
        })),
        "imports": imports.collect::<Vec<_>>(),
        "exports": survey.exports,
        "needsStopIteration": notes::needs_stop_iteration(survey, &report.manifest),
        "capabilities": capabilities,
        "manifest": manifest(report),
        "notes": notes.collect::<Vec<_>>(),
    })
}

fn manifest(report: &Report) -> Value {
    let Ok(Some(manifest)) = &report.manifest else {
        return Value::Null;
    };
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "sdk": manifest.sdk,
        "description": manifest.description,
        "kind": manifest.kind,
        "needs": manifest.needs,
        "capabilities": manifest.capabilities,
        "configSchema": manifest.config_schema,
    })
}
