//! Filters for tests: WAT text, or a module that `cargo xtask plugins` built.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use tidegate_host_abi::Engine;
use tidegate_host_abi::EngineConfig;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Module;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::PluginSpec;

/// A filter to put into a gateway.
#[derive(Debug, Clone)]
pub struct Wasm {
    name: String,
    bytes: Vec<u8>,
    spec: PluginSpec,
    /// Compiled once: clones are the same plugin, also for a gateway that changes.
    compiled: Arc<OnceLock<Arc<Plugin>>>,
}

/// What every WAT filter needs: memory, an allocator, the ABI marker. Data may be placed below
/// 4096; the allocator begins at 65536.
const PRELUDE: &str = r#"
    (memory (export "memory") 4)
    (global $free (mut i32) (i32.const 65536))
    (func (export "proxy_abi_version_0_2_1"))
    (func $allocate (export "proxy_on_memory_allocate") (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (global.get $free))
        ;; Wraps long before the end of memory: what hosts wrote is read at once.
        (global.set $free (i32.add (global.get $free) (local.get $size)))
        (if (i32.gt_u (global.get $free) (i32.const 196608))
            (then (global.set $free (i32.const 65536))))
        (local.get $at))
"#;

impl Wasm {
    /// A filter from WAT: `imports` come first, then memory and allocator, then `body`.
    ///
    /// # Panics
    ///
    /// If the text is not WAT.
    #[track_caller]
    pub fn wat(name: &str, imports: &str, body: &str) -> Self {
        let text = format!("(module {imports} {PRELUDE} {body})");
        let bytes = wat::parse_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
        Self::bytes(name, bytes)
    }

    /// A filter from a module's bytes.
    pub fn bytes(name: &str, bytes: Vec<u8>) -> Self {
        let spec = PluginSpec {
            name: name.to_owned(),
            ..PluginSpec::default()
        };
        Self {
            name: name.to_owned(),
            bytes,
            spec,
            compiled: Arc::default(),
        }
    }

    /// The module's bytes, to be written to a file.
    pub fn module(&self) -> &[u8] {
        &self.bytes
    }

    /// A filter that `cargo xtask plugins` built.
    ///
    /// # Panics
    ///
    /// If it was not built.
    #[track_caller]
    pub fn built(name: &str) -> Self {
        let path = Self::built_path(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|err| {
            panic!(
                "{}: {err}; build filters with `cargo xtask plugins`",
                path.display()
            )
        });
        Self::bytes(name, bytes)
    }

    /// Where `cargo xtask plugins` puts a filter.
    pub fn built_path(name: &str) -> PathBuf {
        let folder = std::env::var_os("TIDEGATE_PLUGINS_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins")),
            PathBuf::from,
        );
        folder.join(name).with_extension("wasm")
    }

    /// With this plugin configuration.
    #[must_use]
    pub fn config(self, config: &str) -> Self {
        self.with(|spec| spec.config = Bytes::copy_from_slice(config.as_bytes()))
    }

    /// Streams pass if the filter cannot decide.
    #[must_use]
    pub fn fail_open(self) -> Self {
        self.with(|spec| spec.failure_policy = FailurePolicy::FailOpen)
    }

    /// Under another name: beside another filter of the same.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self.with(|spec| name.clone_into(&mut spec.name))
    }

    /// With changed settings.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut PluginSpec)) -> Self {
        change(&mut self.spec);
        self.compiled = Arc::default();
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The compiled plugin.
    ///
    /// # Panics
    ///
    /// If it does not compile.
    #[track_caller]
    pub fn plugin(&self) -> Arc<Plugin> {
        let compile = || {
            let module = Module::compile(engine(), &self.name, &self.bytes);
            let module = module.unwrap_or_else(|err| panic!("{}: {err}", self.name));
            Arc::new(Plugin::new(Arc::new(module), self.spec.clone()))
        };
        Arc::clone(self.compiled.get_or_init(compile))
    }
}

/// One engine for all tests of a process: each reserves address space.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineConfig::default()).expect("an engine starts"))
}
