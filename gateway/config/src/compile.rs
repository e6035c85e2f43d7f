//! Resources become a [`Snapshot`], plugin declarations, conditions and problems.
//!
//! Everything that needs more than one resource is here: references, attachment, conflicts, order.
//! It is a pure function of the [`World`] (and the process environment that plugins may read), run
//! anew for each load. The loader calls it again with older versions where it found errors.

mod attach;
mod attach_refusals;
mod backend_tls;
mod backends;
mod binds;
mod client_settings;
mod conditions;
mod filters;
mod gateway_parts;
mod gateways;
mod istio;
mod l4_routes;
mod listeners;
mod matches;
mod namespaces;
mod outcome;
mod plugin_decl;
mod plugin_rollout;
mod plugin_source;
mod plugin_targets;
mod plugin_values;
mod plugins;
mod policies;
mod reached;
mod references;
mod report;
mod routes;
mod services;
mod targets;
mod tls;
mod trust;
mod trust_sources;
mod world;

use foldhash::HashMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::pattern::Pattern;
use tidegate_core::snapshot::Snapshot;

use crate::draft::BundleDecl;
use crate::draft::BundleSource;
use crate::draft::CertificateDecl;
use crate::draft::CertificateSource;
use crate::draft::PluginDecl;
use crate::draft::PluginSource;
use crate::draft::ResourceStatus;
use crate::draft::RolloutDecl;
use plugins::PluginParts;
use report::Report;

pub(crate) use istio::DRY_RUN;
pub(crate) use plugin_decl::beside;
pub(crate) use world::Candidate;
pub(crate) use world::Content;
pub(crate) use world::EndpointsFile;
pub(crate) use world::State;
pub(crate) use world::Version;
pub(crate) use world::World;

/// What resources come to.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    pub(crate) plugins: Vec<PluginDecl>,
    pub(crate) rollouts: Vec<RolloutDecl>,
    pub(crate) certificates: Vec<CertificateDecl>,
    pub(crate) bundles: Vec<BundleDecl>,
    pub(crate) statuses: Vec<ResourceStatus>,
    pub(crate) problems: Vec<crate::problem::Problem>,
    /// Files that resources name.
    pub(crate) watch: BTreeSet<PathBuf>,
}

/// What is kept between loads because it is dear to make: compiled regular expressions by text.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    old: HashMap<String, Pattern>,
    used: HashMap<String, Pattern>,
}

impl Patterns {
    /// Forgets what was not used since the last call.
    pub(crate) fn begin(&mut self) {
        self.old = std::mem::take(&mut self.used);
    }

    /// A pattern, compiled now or before; `None` if it is none (a rule has said so).
    fn compile(&mut self, text: &str) -> Option<Pattern> {
        if let Some(pattern) = self.used.get(text) {
            return Some(pattern.clone());
        }
        let pattern = match self.old.remove(text) {
            Some(pattern) => pattern,
            None => Pattern::compile(text).ok()?,
        };
        self.used.insert(text.to_owned(), pattern.clone());
        Some(pattern)
    }
}

/// What the process has that plugins may use.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    /// Its variables, as a function from names.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The filters that come with it, by name.
    pub(crate) builtins: &'a [&'static str],
    /// The namespace whose Istio policies hold for all Gateways.
    pub(crate) root_namespace: &'a str,
}

/// Compiles a world.
pub(crate) fn compile(
    world: &World<'_>,
    patterns: &mut Patterns,
    env: Environment<'_>,
) -> Compiled {
    let mut report = Report::default();
    let policies = policies::Policies::new(world, &mut report);
    let mut trust = trust::Trust::new(world);
    let mut gateways = gateways::Gateways::new(world, &mut trust, &mut report);
    let backend_tls = backend_tls::BackendTls::new(world, &mut trust, &mut report);
    let shown = gateways.common_certificate();
    // Only Gateways show certificates.
    let certificate_names = trust.name_certificates();
    let bundle_names = trust.name_bundles();
    let names = certificate_names.clone();
    let mut backends = backends::BackendTable::new(world, &policies, &backend_tls, shown, names);
    let mut plugins = plugins::PluginTable::new(world, &mut backends, env, &mut report);
    let generated = istio::plugins(world, &gateways, &mut backends, env, &mut report);
    plugins.add(generated);
    let mut tools = outcome::Tools {
        world,
        policies: &policies,
        backends: &mut backends,
        plugins: &mut plugins,
        patterns,
    };
    routes::compile(&mut tools, &mut gateways, &mut report);
    l4_routes::compile(&mut tools, &mut gateways, &mut report);
    backends.report(&mut report);
    gateways.report_attached(&mut report);
    plugins.report_unused(&mut report);
    let binds = binds::binds(gateways, &policies, &plugins);
    let PluginParts {
        names: plugin_names,
        decls: plugins,
        canaries,
        rollouts,
    } = plugins.into_parts();
    let (certificates, bundles) = trust.into_parts();
    let statuses = conditions::statuses(world, &mut report);
    let watch = watched(&plugins, &certificates, &bundles);
    Compiled {
        snapshot: Snapshot {
            binds,
            backends: backends.into_backends(),
            plugins: plugin_names,
            canaries,
            certificates: certificate_names,
            bundles: bundle_names,
            timeouts: Timeouts::default(),
            sizes: SizeLimits::default(),
        },
        plugins,
        rollouts,
        certificates,
        bundles,
        statuses,
        problems: report.into_problems(),
        watch,
    }
}

/// The files that resources name.
fn watched(
    plugins: &[PluginDecl],
    certificates: &[CertificateDecl],
    bundles: &[BundleDecl],
) -> BTreeSet<PathBuf> {
    let mut watch = BTreeSet::new();
    for plugin in plugins {
        match &plugin.source {
            PluginSource::File(path) => {
                watch.insert(path.clone());
            }
            PluginSource::Remote(remote) => watch.extend(remote.credentials.files().cloned()),
            PluginSource::Builtin(_) | PluginSource::Refused => {}
        }
    }
    for one in certificates {
        if let CertificateSource::Files { certificate, key } = &one.source {
            watch.extend([certificate.clone(), key.clone()]);
        }
    }
    for one in bundles {
        if let BundleSource::Files {
            authorities,
            revoked,
        } = &one.source
        {
            watch.extend([authorities].into_iter().chain(revoked).cloned());
        }
    }
    watch
}
