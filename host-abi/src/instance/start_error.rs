//! Why an instance did not start.
//!
//! Owns the words for an operator: which plugin, which step, and what the guest itself logged.

use crate::fault::Fault;

/// The steps of a start, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartStep {
    /// Before anything runs: which plugins are given together.
    Plan,
    /// Memory, tables and the start function of the module.
    Instantiate,
    /// `_initialize` with `main`, or `_start`.
    Initialise,
    /// `proxy_on_context_create` of a root context.
    ContextCreate,
    /// `proxy_on_vm_start`
    VmStart,
    /// `proxy_on_configure`
    Configure,
    /// What the plugin does before its first stream; see [`crate::Instance::setup`].
    SetUp,
}

impl StartStep {
    const fn verb(self) -> &'static str {
        match self {
            Self::Plan => "start together with the others",
            Self::Instantiate => "be instantiated",
            Self::Initialise => "initialise",
            Self::ContextCreate => "create its root context",
            Self::VmStart => "start",
            Self::Configure => "be configured",
            Self::SetUp => "be set up",
        }
    }
}

/// Why an instance did not start.
#[derive(Debug, Clone)]
pub struct StartError {
    /// The step that failed.
    pub step: StartStep,
    /// The plugin it failed for.
    pub plugin: String,
    /// The fault that ended the guest; `None` if the guest refused in words of its own.
    pub fault: Option<Fault>,
    /// The last warnings and errors the guest logged, the latest last: mostly the real reason.
    pub log: Vec<String>,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            step,
            plugin,
            fault,
            log,
        } = self;
        let verb = step.verb();
        match fault {
            Some(_) => write!(f, "plugin {plugin:?} could not {verb}")?,
            None => write!(f, "plugin {plugin:?} refused to {verb}")?,
        }
        match log.last() {
            Some(line) => write!(f, "; it logged: {}", line.trim_end().escape_debug()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault
            .as_ref()
            .map(|fault| fault as &(dyn std::error::Error + 'static))
    }
}
