//! The registry that one filter comes from: one that runs somewhere, or a small one in this process.
//!
//! Owns the tag and what is pushed to it, by the command that people would type.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::places::Places;

/// The image, behind the registry's name.
const IMAGE: &str = "tidegate-demo/filter:demo";

/// How long a push may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the filter comes from.
#[derive(Debug)]
pub(crate) struct Registry {
    /// As references begin.
    pub(crate) name: String,
    /// Whether it is asked without TLS though it is not on this machine.
    is_plain: bool,
    /// In this process; it ends with it.
    own: Option<tidegate_testkit::Registry>,
    /// What pushes.
    program: PathBuf,
    /// The folder with the modules.
    modules: PathBuf,
}

impl Registry {
    /// That of this name, `HOST[:PORT][/PATH]`, perhaps with `http://` in front; without one, one of
    /// our own.
    pub(crate) fn at(name: Option<&str>, places: &Places) -> Result<Self> {
        let own = match name {
            Some(_) => None,
            None => Some(tidegate_testkit::Registry::start()),
        };
        let name = match (&own, name) {
            (Some(own), _) => own.address().to_string(),
            (None, name) => name.unwrap_or_default().to_owned(),
        };
        let bare = name.strip_prefix("http://");
        let is_plain = bare.is_some();
        let name = bare.unwrap_or(&name).trim_end_matches('/').to_owned();
        if name.is_empty() || name.contains("://") {
            bail!("a registry is written HOST[:PORT][/PATH], such as localhost:5000, not {name:?}");
        }
        let modules = places.filter.parent().context("the filter has a folder")?;
        Ok(Self {
            name,
            is_plain,
            own,
            program: places.gateway.clone(),
            modules: modules.to_owned(),
        })
    }

    /// Whether it is in this process.
    pub(crate) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// What the Plugin names.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{IMAGE}", self.name)
    }

    /// What the gateway needs to be told about it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let host = self.name.split('/').next().unwrap_or_default();
        let flag = format!("--registry-plain-http={host}");
        self.is_plain.then_some(flag).into_iter().collect()
    }

    /// How a module is pushed, as a line to type.
    pub(crate) fn line(&self, module: &str) -> String {
        let arguments = self.arguments(&self.modules.join(module));
        format!("{} {}", self.program.display(), arguments.join(" "))
    }

    fn arguments(&self, module: &Path) -> Vec<String> {
        let mut arguments = vec!["plugin".to_owned(), "push".to_owned(), self.reference()];
        arguments.push(module.display().to_string());
        arguments.extend(self.flags());
        arguments
    }

    /// Does what the line says.
    pub(crate) async fn push(&self, module: &str) -> Result<()> {
        let module = self.modules.join(module);
        if !module.is_file() {
            bail!(
                "{} is not there; `cargo xtask plugins` builds it",
                module.display()
            );
        }
        let mut push = Command::new(&self.program);
        push.args(self.arguments(&module)).stdin(Stdio::null());
        push.env_remove("TIDEGATE_LOG").kill_on_drop(true);
        let pushed = tokio::time::timeout(LIMIT, push.output()).await;
        let output = pushed.context("the push does not end")??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            bail!("{}", said.strip_prefix("error: ").unwrap_or(said));
        }
        Ok(())
    }

    /// Makes it answer nobody any more, if it is ours.
    pub(crate) fn stop(&self) {
        if let Some(own) = &self.own {
            own.set_down(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> Result<Registry> {
        let places = Places {
            gateway: "target/tidegate".into(),
            filter: "target/plugins/hello-filter.wasm".into(),
            configs: "target/demo-config".into(),
        };
        Registry::at(Some(name), &places)
    }

    #[test]
    fn a_registry_is_named_as_references_are() {
        let registry = at("localhost:5000/team/").unwrap();
        let reference = "localhost:5000/team/tidegate-demo/filter:demo";
        assert_eq!(registry.reference(), reference);
        assert_eq!(
            registry.line("a.wasm"),
            format!("target/tidegate plugin push {reference} target/plugins/a.wasm")
        );
        assert!(registry.flags().is_empty());
        let plain = at("http://registry.test:80").unwrap();
        assert_eq!(plain.flags(), ["--registry-plain-http=registry.test:80"]);
        assert_eq!(
            plain.reference(),
            "registry.test:80/tidegate-demo/filter:demo"
        );
        for wrong in ["", "http://", "https://registry.test", "oci://a/b"] {
            assert!(at(wrong).is_err(), "{wrong:?}");
        }
    }
}
