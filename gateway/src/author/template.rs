//! What a new filter begins with.

use crate::cli::TemplateArg;

/// A filter to begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    files: [(&'static str, &'static str); 4],
}

/// What all of them have.
const COMMON: [(&str, &str); 3] = [
    (
        "Cargo.toml",
        include_str!("../../templates/common/Cargo.toml.in"),
    ),
    (
        ".gitignore",
        include_str!("../../templates/common/gitignore"),
    ),
    (
        "clippy.toml",
        include_str!("../../templates/common/clippy.toml"),
    ),
];

/// The files of one template.
macro_rules! template {
    ($folder:literal, $summary:literal) => {
        Template {
            summary: $summary,
            files: [
                (
                    "src/lib.rs",
                    include_str!(concat!("../../templates/", $folder, "/src/lib.rs")),
                ),
                (
                    "tests/filter.rs",
                    include_str!(concat!("../../templates/", $folder, "/tests/filter.rs")),
                ),
                (
                    "tidegate.yaml",
                    include_str!(concat!("../../templates/", $folder, "/tidegate.yaml")),
                ),
                (
                    "README.md",
                    include_str!(concat!("../../templates/", $folder, "/README.md")),
                ),
            ],
        }
    };
}

impl Template {
    /// The one that was asked for.
    pub(crate) const fn of(arg: TemplateArg) -> Self {
        match arg {
            TemplateArg::Auth => template!("auth", "it asks a backend who the client is"),
            TemplateArg::RateLimit => {
                template!("rate-limit", "it limits the requests of each client")
            }
            TemplateArg::Canary => template!("canary", "it sends a share of the clients elsewhere"),
            TemplateArg::Fault => template!("fault", "it delays and fails a share of the requests"),
            TemplateArg::Body => template!("body", "it takes fields out of JSON answers"),
            TemplateArg::Headers => template!("headers", "it sets and removes headers"),
        }
    }

    /// Paths and texts, with `template-name` and `template_name` where the name goes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        COMMON.into_iter().chain(self.files)
    }
}
