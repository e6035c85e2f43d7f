//! Where the gateway and its filter are, and where its configuration may be.
//!
//! `cargo xtask demo` says so in `TIDEGATE_BIN` and `TIDEGATE_PLUGINS_DIR`; without them both are
//! looked for where cargo builds them.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The filter this demo is about.
const FILTER: &str = "hello-filter.wasm";

/// The programs that the demo starts, and its folder.
#[derive(Debug)]
pub(crate) struct Places {
    /// The `tidegate` program.
    pub(crate) gateway: PathBuf,
    /// The filter's module.
    pub(crate) filter: PathBuf,
    /// The folder for the configuration: beside that of the filters, in `target`.
    pub(crate) configs: PathBuf,
}

impl Places {
    /// Finds all, or says what to build.
    pub(crate) fn find() -> Result<Self> {
        let plugins = std::path::absolute(plugins()).context("no current folder")?;
        let places = Self {
            gateway: gateway()?,
            filter: plugins.join(FILTER),
            configs: plugins.with_file_name("demo-config"),
        };
        for (file, builder) in [
            (&places.gateway, "cargo build -p tidegate"),
            (&places.filter, "cargo xtask plugins"),
        ] {
            if !file.is_file() {
                bail!("{} is not there; `{builder}` builds it", file.display());
            }
        }
        Ok(places)
    }
}

fn gateway() -> Result<PathBuf> {
    if let Some(path) = env::var_os("TIDEGATE_BIN") {
        return Ok(path.into());
    }
    let mut path = env::current_exe().context("find out where this program is")?;
    path.set_file_name(format!("tidegate{}", env::consts::EXE_SUFFIX));
    Ok(path)
}

fn plugins() -> PathBuf {
    env::var_os("TIDEGATE_PLUGINS_DIR").map_or_else(|| "target/plugins".into(), PathBuf::from)
}
