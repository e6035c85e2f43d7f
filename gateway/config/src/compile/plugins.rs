//! All plugins of a snapshot, and which requests pass which of them.

use foldhash::HashMap;
use foldhash::HashSet;
use std::cmp::Reverse;

use tidegate_core::snapshot::Canary;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::PluginName;

use super::Environment;
use super::backends::BackendTable;
use super::istio::Generated;
use super::plugin_decl;
use super::plugin_rollout;
use super::plugin_targets::check_listeners;
use super::plugin_targets::fitted_before;
use super::references::not_found;
use super::report::Refusal;
use super::report::Report;
use super::targets::check_target;
use super::world::Candidate;
use super::world::World;
use crate::draft::PluginDecl;
use crate::draft::PluginType;
use crate::draft::RolloutDecl;
use crate::draft::WebhookDecl;
use crate::kinds::Body;
use crate::kinds::OWN_GROUP;
use crate::kinds::http_filter::ExtensionRef;
use crate::kinds::plugin::Plugin;
use crate::kinds::plugin::PluginPhase;
use crate::kinds::plugin_rollout::PluginRollout;
use crate::kinds::text::ObjectName;
use crate::place::At;
use crate::place::Span;

/// Kind, namespace, name and section of a target.
type Key<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// Where a plugin runs among those of one target: phases in their order, those without one last;
/// then by priority, the higher first; then by name.
type Order = (bool, Option<PluginPhase>, Reverse<i32>, PluginId);

/// The plugins of a snapshot in the making.
pub(crate) struct PluginTable<'a> {
    world: &'a World<'a>,
    env: Environment<'a>,
    decls: Vec<PluginDecl>,
    ids: HashMap<String, PluginId>,
    targets: HashMap<Key<'a>, Vec<(Order, PluginId)>>,
    /// Those that a rule names.
    named: HashSet<PluginId>,
    canaries: Vec<Canary>,
    rollouts: Vec<RolloutDecl>,
}

/// All plugins of a snapshot.
pub(crate) struct PluginParts {
    /// Names and declarations, in the order of the ids.
    pub(crate) names: Vec<PluginName>,
    pub(crate) decls: Vec<PluginDecl>,
    /// Those of which another version is tried, and how, in the same order.
    pub(crate) canaries: Vec<Canary>,
    pub(crate) rollouts: Vec<RolloutDecl>,
}

impl<'a> PluginTable<'a> {
    /// A table with all Plugins, those that nobody uses included: they are checked too.
    pub(crate) fn new(
        world: &'a World<'a>,
        backends: &mut BackendTable<'_>,
        env: Environment<'a>,
        report: &mut Report,
    ) -> Self {
        let mut table = Self {
            world,
            env,
            decls: Vec::new(),
            ids: HashMap::default(),
            targets: HashMap::default(),
            named: HashSet::default(),
            canaries: Vec::new(),
            rollouts: Vec::new(),
        };
        for candidate in world.all("Plugin") {
            if let Body::Plugin(plugin) = candidate.body() {
                let id = table.declare(candidate, plugin, backends, report);
                table.attach(candidate, plugin, id, report);
            }
        }
        for list in table.targets.values_mut() {
            list.sort_unstable();
        }
        table
    }

    fn declare(
        &mut self,
        candidate: &Candidate,
        plugin: &Plugin,
        backends: &mut BackendTable<'_>,
        report: &mut Report,
    ) -> PluginId {
        let (world, env) = (self.world, self.env);
        let (decl, mut is_resolved) =
            plugin_decl::declare(world, backends, candidate, plugin, env, report);
        let id = self.push(decl);
        if is_resolved == Some(true)
            && let Some(rollout) = &plugin.spec.rollout
        {
            is_resolved = self.declare_canary(candidate, plugin, rollout, id, backends, report);
        }
        if let Some(is_resolved) = is_resolved {
            report.condition(candidate, plugin_decl::resolved(is_resolved));
        }
        id
    }

    /// Adds the version of a plugin that is tried.
    fn declare_canary(
        &mut self,
        candidate: &Candidate,
        plugin: &Plugin,
        rollout: &PluginRollout,
        stable: PluginId,
        backends: &mut BackendTable<'_>,
        report: &mut Report,
    ) -> Option<bool> {
        let plugin = plugin_rollout::as_plugin(plugin, rollout);
        let (world, env) = (self.world, self.env);
        let webhooks = webhooks(candidate, rollout, backends, report);
        let are_resolved = webhooks.len() == rollout.webhooks.len();
        let (mut decl, is_resolved) =
            plugin_decl::declare(world, backends, candidate, &plugin, env, report);
        plugin_rollout::rename(&mut decl);
        let canary = self.push(decl);
        let split = plugin_rollout::split(candidate, rollout);
        self.canaries.push(Canary {
            stable,
            canary,
            split,
        });
        let rollout = plugin_rollout::declare(candidate, rollout, webhooks);
        self.rollouts.push(rollout);
        is_resolved.map(|is_resolved| is_resolved && are_resolved)
    }

    fn push(&mut self, decl: PluginDecl) -> PluginId {
        let id = PluginId(u32::try_from(self.decls.len()).unwrap_or(u32::MAX));
        self.ids.insert(decl.name.0.as_ref().to_owned(), id);
        self.decls.push(decl);
        id
    }

    fn attach(
        &mut self,
        candidate: &'a Candidate,
        plugin: &'a Plugin,
        id: PluginId,
        report: &mut Report,
    ) {
        let spec = &plugin.spec;
        let phase = spec.phase.as_ref().map(|phase| phase.value);
        let priority = spec.priority.as_ref().map_or(0, |one| one.value);
        for target in &spec.target_refs {
            let kind = self.kind_of(id);
            let checked = check_target(self.world, candidate, target)
                .and_then(|()| check_listeners(self.world, candidate, target, kind));
            if let Err(refusal) = checked {
                // A version before it that fits no better is no help: the other targets are kept.
                match fitted_before(self.world, candidate) {
                    Some(false) => report.partial(candidate, refusal),
                    Some(true) | None => report.error(candidate, refusal),
                }
                continue;
            }
            let section = target.section_name.as_ref().map(|name| name.as_str());
            let key = (
                target.kind.as_str(),
                candidate.namespace(),
                target.name.as_str(),
                section,
            );
            let order = (phase.is_none(), phase, Reverse(priority), id);
            self.targets.entry(key).or_default().push((order, id));
        }
    }

    /// Adds plugins that no resource declares. Of those of one phase they run last.
    pub(crate) fn add(&mut self, generated: Vec<Generated>) {
        for one in generated {
            let id = self.push(one.decl);
            let order = (false, Some(one.phase), Reverse(i32::MIN), id);
            let Some(gateway) = self.world.get("Gateway", &one.gateway.0, &one.gateway.1) else {
                continue;
            };
            let key = ("Gateway", gateway.namespace(), gateway.name(), None);
            let list = self.targets.entry(key).or_default();
            list.push((order, id));
            list.sort_unstable();
        }
    }

    /// The plugins of one type that are for a resource or one part of it, in order.
    pub(crate) fn of(
        &self,
        kind: &str,
        of: &Candidate,
        section: Option<&str>,
        of_type: PluginType,
    ) -> Vec<PluginId> {
        let mut found: Vec<(Order, PluginId)> = Vec::new();
        let mut sections = vec![None];
        sections.extend(section.map(Some));
        for section in sections {
            let key = (kind, of.namespace(), of.name(), section);
            found.extend(self.targets.get(&key).into_iter().flatten().copied());
        }
        found.sort_unstable();
        found.dedup();
        let found = found.into_iter().map(|(_, id)| id);
        found.filter(|id| self.kind_of(*id) == of_type).collect()
    }

    /// The plugin that a rule names. One that is missing refuses the rule's requests.
    pub(crate) fn resolve(
        &mut self,
        from: &Candidate,
        reference: &At<ExtensionRef>,
        backends: &mut BackendTable<'_>,
        report: &mut Report,
    ) -> (PluginId, Option<Refusal>) {
        let (group, kind) = (reference.group.as_str(), reference.kind.as_str());
        let name = &reference.name;
        let refusal = if (group, kind) == (OWN_GROUP, "Plugin") {
            let full_name = format!("{}/{}", from.namespace(), name.as_str());
            if let Some(id) = self.ids.get(&full_name) {
                // One that was missing before is reported again: each rule has its own place.
                let is_known = self.world.find(from, "Plugin", from.namespace(), name);
                let id = *id;
                self.named.insert(id);
                return match (is_known, self.kind_of(id)) {
                    (None, _) => (id, Some(self.not_found(from, reference))),
                    (Some(_), PluginType::Http) => (id, None),
                    (Some(_), other) => {
                        let instead = At {
                            value: format!("{} ({other:?})", **name),
                            span: name.span,
                        };
                        (self.missing(from, &instead), Some(no_filter(name, other)))
                    }
                };
            }
            if let Some(gone) = self.world.find(from, "Plugin", from.namespace(), name)
                && let Body::Plugin(plugin) = gone.body()
            {
                return (self.declare(gone, plugin, backends, report), None);
            }
            self.not_found(from, reference)
        } else {
            Refusal {
                span: reference.kind.span,
                reason: "InvalidKind",
                message: format!("a {kind} of the group `{group}` is no filter"),
                hint: Some(format!("write `group: {OWN_GROUP}` and `kind: Plugin`")),
            }
        };
        // What is no Plugin must not be taken for the Plugin of that name.
        let value = match kind {
            "Plugin" if group == OWN_GROUP => name.to_string(),
            _ => format!("{} ({kind} of {group:?})", **name),
        };
        let name = At {
            value,
            span: name.span,
        };
        (self.missing(from, &name), Some(refusal))
    }

    /// Something that stands for a plugin that is none: it refuses requests.
    fn missing(&mut self, from: &Candidate, name: &At<String>) -> PluginId {
        let full_name = format!("{}/{}", from.namespace(), name.value);
        match self.ids.get(&full_name) {
            Some(id) => *id,
            None => self.push(plugin_decl::missing(from, name)),
        }
    }

    /// Remarks on Plugins that nothing passes: whoever forgets `targetRefs` believes to be protected.
    pub(crate) fn report_unused(&self, report: &mut Report) {
        for candidate in self.world.all("Plugin") {
            let Body::Plugin(plugin) = candidate.body() else {
                continue;
            };
            let full_name = format!("{}/{}", candidate.namespace(), candidate.name());
            let is_named = |id| self.named.contains(id);
            if plugin.spec.target_refs.is_empty()
                && plugin_decl::kind(plugin) != PluginType::Service
                && !self.ids.get(&full_name).is_some_and(is_named)
            {
                report.warning(candidate, attached_to_nothing(candidate, plugin));
            }
        }
    }

    fn not_found(&self, from: &Candidate, reference: &ExtensionRef) -> Refusal {
        not_found(
            self.world,
            "InvalidFilter",
            "Plugin",
            from.namespace(),
            &reference.name,
        )
    }

    fn kind_of(&self, id: PluginId) -> PluginType {
        let at = usize::try_from(id.0).ok();
        let decl = at.and_then(|at| self.decls.get(at));
        decl.map_or(PluginType::Http, |decl| decl.kind)
    }

    /// What they come to.
    pub(crate) fn into_parts(mut self) -> PluginParts {
        let targeted = self.targets.values().flatten().map(|(_, id)| *id);
        // Canaries are not: nobody waits for them.
        for id in self.named.iter().copied().chain(targeted) {
            let decl = usize::try_from(id.0).ok();
            if let Some(decl) = decl.and_then(|at| self.decls.get_mut(at)) {
                decl.attached = true;
            }
        }
        PluginParts {
            names: self.decls.iter().map(|decl| decl.name.clone()).collect(),
            decls: self.decls,
            canaries: self.canaries,
            rollouts: self.rollouts,
        }
    }
}

/// Those receivers of a rollout whose backends are there.
fn webhooks(
    candidate: &Candidate,
    rollout: &PluginRollout,
    backends: &mut BackendTable<'_>,
    report: &mut Report,
) -> Vec<WebhookDecl> {
    let mut found = Vec::new();
    for given in &rollout.webhooks {
        match backends.allowed(candidate, &given.backend) {
            Ok(backend) => {
                found.extend(backend.map(|backend| plugin_rollout::webhook(given, backend)));
            }
            Err(refusal) => report.error(candidate, refusal),
        }
    }
    found
}

fn attached_to_nothing(candidate: &Candidate, plugin: &Plugin) -> Refusal {
    let (what, named) = match plugin_decl::kind(plugin) {
        PluginType::Network => ("connection", ""),
        PluginType::Http | PluginType::Service => {
            ("request", ", or name it in a route's `filters`")
        }
    };
    Refusal {
        span: Span::NONE,
        reason: "NotAttached",
        message: format!(
            "the Plugin `{}` is attached to nothing: no {what} passes it",
            candidate.name()
        ),
        hint: Some(format!(
            "give it `targetRefs` with the Gateways or routes that it is for{named}"
        )),
    }
}

fn no_filter(name: &At<ObjectName>, kind: PluginType) -> Refusal {
    let what = match kind {
        PluginType::Network => "filters connections, not requests",
        PluginType::Http | PluginType::Service => "is a service and filters no requests",
    };
    Refusal {
        span: name.span,
        reason: "InvalidFilter",
        message: format!("the Plugin `{}` {what}", **name),
        hint: Some("name a Plugin of `type: Http`".to_owned()),
    }
}
