//! `tidegate run`: serves what files say, and follows their changes.
//!
//! Owns the order of starting and ending. Nothing is bound before the files are read, no traffic is
//! accepted before every plugin that is here has started, and nobody is told that it is ready before
//! that, or before those came that are pulled, within a limit.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;
use std::time::SystemTime;

use anyhow::Context as _;
use tidegate_config::draft::Draft;
use tidegate_config::draft::ResourceStatus;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::render::Colour;
use tidegate_config::render::render;
use tidegate_core::snapshot::AccessLog;
use tidegate_proxy::Gateway;
use tidegate_proxy::Options;

use crate::admin;
use crate::admin::Admin;
use crate::admin::Bound;
use crate::admin::Order;
use crate::builtin;
use crate::cli::AccessLogArg;
use crate::cli::RunArgs;
use crate::code_cache;
use crate::code_cache::CodeFolder;
use crate::code_cache::Counts;
use crate::control::Control;
use crate::control::Loaded;
use crate::control::Settings;
use crate::control::development::Development;
use crate::control::probation::Watchers;
use crate::control::publish;
use crate::control::publish::Reporter;
use crate::control::reload;
use crate::control::reload::Event;
use crate::plugins::SETUP_FAILED;
use crate::plugins::Slot;
use crate::plugins::chain;
use crate::plugins::is_awaited;
use crate::proxy;
use crate::pulls::Pulls;
use crate::pulls::registries;
use crate::signals;
use crate::signals::Signals;
use crate::state::Store;
use crate::state::default_folder;
use crate::status::Board;
use crate::systemd;
use crate::watch::Pace;
use crate::watch::Watch;

/// Runs until a signal says stop.
///
/// # Errors
///
/// What kept the gateway from starting, or from ending well.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    serve(args, None)
}

/// Runs as [`run`] does, with some things in the place of what the files say.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn develop(args: &RunArgs, development: Development) -> anyhow::Result<()> {
    serve(args, Some(development))
}

fn serve(args: &RunArgs, development: Option<Development>) -> anyhow::Result<()> {
    let mut signals = Signals::register(true).context("cannot receive signals")?;
    let bound = admin::bind(&args.admin, args.admin_token_file.as_deref())?;
    proxy::raise_descriptor_limit();
    let (events, inbox) = mpsc::channel();
    let config = std::path::absolute(&args.config).context("no current folder")?;
    let watch = watch(&config, &events)?;
    let (mut control, cached) = control(args, &config, development);
    let pulls = pulls(args, &config, &events)?;
    let pull_board = pulls.board();
    control.set_pulls(pulls);
    let waits_until = Instant::now() + args.pull_wait;
    let read_at = SystemTime::now();
    let loaded = control.load(true);
    watch.set(reload::paths(&loaded.draft.watch), read_at);
    if signals.say_stop() {
        tracing::info!("told to end before anything served");
        return Ok(());
    }
    refuse_bad(&loaded.draft, args)?;
    control.rollouts.name_gateway(args.node.node().id);
    let (loaded, gateway) = start(&mut control, loaded, args)?;
    let board = Board::default();
    board.write(|status| {
        status.code_cache = cached;
        status.waits_until = Some(waits_until);
    });
    board.set_pulls(pull_board);
    board.set_gateway(gateway.remote());
    let mut reporter = Reporter::default();
    reporter.report(&loaded.draft.problems);
    control.rollouts.tell(&board);
    let mut watchers = Watchers::default();
    control.versions_serve(&mut watchers, &loaded, &[]);
    watchers.see(&gateway, Instant::now());
    control.rollouts.tell_through(gateway.remote());
    let versions = control.versions(&watchers);
    let number = control.number();
    publish::serves(&board, number, loaded, gateway.addresses(), versions);
    control.keep();
    let remote = gateway.remote();
    let stop = Arc::new(AtomicBool::new(false));
    let not_ready = board.read().not_ready(Instant::now());
    let thread = reload::Thread {
        awaits_until: not_ready.map(|_| waits_until),
        control,
        gateway,
        board: board.clone(),
        watch,
        reporter,
        watchers,
        stop: Arc::clone(&stop),
        inbox: reload::Inbox::new(inbox),
    };
    let thread = thread.start().context("cannot start a thread")?;
    let (orders, ordered) = mpsc::channel();
    let admin = bound
        .map(|bound| serve_admin(bound, &board, orders))
        .transpose()?;
    match not_ready {
        None => systemd::ready(&format!("generation {number} serves")),
        Some(why) => systemd::status(why),
    }
    let running = signals::Running {
        remote: &remote,
        events: Some(&events),
        orders: &ordered,
        on_stop: &|| {
            // First of all: no reload may begin after the drain.
            stop.store(true, Ordering::SeqCst);
            events.send(Event::End).ok();
            board.write(|status| status.draining = true);
            systemd::stopping();
        },
    };
    let ended = signals.serve_until(running, || end(thread))?;
    drop(admin);
    ended.context(proxy::CUT_SHORT)?
}

/// What makes generations, with what is kept for it, and what is counted of compiled plugins.
fn control(
    args: &RunArgs,
    config: &Path,
    development: Option<Development>,
) -> (Control, Option<Arc<Counts>>) {
    let settings = Settings {
        access_log: args.access_log.map(access_log),
        drain: args.drain_timeout,
    };
    let mut control = Control::new(
        builtin::loader(&args.config, &args.mesh),
        store(args, config),
        settings,
    );
    if let Some(development) = development {
        control.set_development(development);
    }
    let cached = keep_code(&mut control, args, config);
    control.restore();
    (control, cached)
}

fn end(thread: JoinHandle<Gateway>) -> anyhow::Result<()> {
    let Ok(gateway) = thread.join() else {
        anyhow::bail!("the control thread failed; the log says why");
    };
    proxy::end(gateway.join())
}

fn watch(config: &Path, events: &mpsc::Sender<Event>) -> anyhow::Result<Watch> {
    let changed = events.clone();
    let watch = Watch::start(Pace::default(), move || {
        changed.send(Event::Changed).ok();
    });
    let watch = watch.context("cannot start a thread")?;
    // From before it is read: a change while it is read must not be lost.
    watch.set(vec![config.to_owned()], SystemTime::now());
    Ok(watch)
}

/// What fetches plugins from registries, with a cache beside the state.
fn pulls(args: &RunArgs, config: &Path, events: &mpsc::Sender<Event>) -> anyhow::Result<Pulls> {
    let default = default_folder(config, |name| std::env::var_os(name));
    let folder = registries::folder_beside(
        args.registries.plugin_cache.as_deref(),
        args.state_dir.as_deref(),
        default.as_deref(),
    );
    let fetch = registries::open(&args.registries, folder)?;
    let changed = events.clone();
    Ok(Pulls::new(fetch, move || {
        changed.send(Event::Changed).ok();
    }))
}

/// The folder for what a restart falls back to; none if there is no place for it.
fn store(args: &RunArgs, config: &Path) -> Option<Store> {
    let chosen = args.state_dir.as_deref();
    let folder = match chosen {
        Some(folder) if folder == Path::new("off") => return None,
        Some(folder) => PathBuf::from(folder),
        None => {
            let folder = default_folder(config, |name| std::env::var_os(name));
            if folder.is_none() {
                tracing::warn!(
                    "no state is kept for a restart: there is no home for it; --state-dir names one"
                );
            }
            folder?
        }
    };
    match Store::open(&folder) {
        Ok(store) => {
            tracing::info!(
                "what a restart falls back to is kept in {}",
                store.path().display()
            );
            Some(store)
        }
        Err(err) => {
            tracing::warn!("no state is kept for a restart: {}", chain(&err));
            None
        }
    }
}

/// Keeps compiled plugins, if there is a place for them; returns what is counted of that.
fn keep_code(control: &mut Control, args: &RunArgs, config: &Path) -> Option<Arc<Counts>> {
    let default = default_folder(config, |name| std::env::var_os(name));
    let folder = code_cache::folder(
        args.code_cache.as_deref(),
        args.state_dir.as_deref(),
        default.as_deref(),
    );
    let cache = CodeFolder::open_or_warn(&folder?)?;
    let counts = Arc::clone(cache.counts());
    control.set_code_cache(cache);
    Some(counts)
}

/// Whether a start may go on: errors are fatal unless something good serves in place of what is bad.
fn refuse_bad(draft: &Draft, args: &RunArgs) -> anyhow::Result<()> {
    if args.allow_partial || is_covered(draft) {
        return Ok(());
    }
    eprint!("{}", render(&draft.problems, Colour::Never));
    let config = args.config.display();
    anyhow::bail!(
        "{config} is refused: repair it, or start with what is good by --allow-partial \
         (`tidegate check -c {config}` shows problems without starting)"
    )
}

/// Whether a last good version serves in place of everything that is bad.
fn is_covered(draft: &Draft) -> bool {
    let is_covered = |problem: &Problem| {
        let is_last_good = |status: &&ResourceStatus| status.last_good;
        let mut good = draft.resources.iter().filter(is_last_good);
        // Of a part that is left out there was nothing before.
        if problem.partial {
            return true;
        }
        // It is tried again by itself; meanwhile the plugin's failure policy answers.
        if problem.reason == SETUP_FAILED {
            return true;
        }
        // The stable version serves.
        if is_of_canary(draft, problem) {
            return true;
        }
        match (&problem.resource, &problem.place) {
            (Some(resource), _) => good.any(|status| status.resource == *resource),
            // A broken file is covered if what it last held serves.
            (None, Some(place)) => draft.accepted.iter().any(|one| {
                is_same(&one.file, &place.file)
                    && good.clone().any(|status| status.resource == one.resource)
            }),
            (None, None) => good.next().is_some(),
        }
    };
    let errors = draft.problems.iter();
    let mut errors = errors.filter(|problem| problem.severity == Severity::Error);
    errors.all(is_covered)
}

/// Whether it is about a canary of a plugin, which waits until it can be had.
fn is_of_canary(draft: &Draft, problem: &Problem) -> bool {
    let mut canaries = draft.plugins.iter().filter(|decl| decl.is_canary());
    let about = problem.resource.as_ref();
    about.is_some() && canaries.any(|decl| Some(&decl.resource) == about)
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (std::path::absolute(a), std::path::absolute(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn start(
    control: &mut Control,
    loaded: Loaded,
    args: &RunArgs,
) -> anyhow::Result<(Loaded, Gateway)> {
    let workers = args
        .workers
        .map_or_else(proxy::available_workers, usize::from);
    tracing::info!(config = %args.config.display(), workers, "starting");
    let writes = args.access_log != Some(AccessLogArg::Off);
    let may_serve = |left: &Loaded| {
        let pairs = left.slots.iter().zip(&left.draft.plugins);
        let refused = pairs
            .filter(|(slot, decl)| matches!(slot, Slot::Refused(_)) && !decl.is_canary())
            .count();
        let is_waiting = |problem: &&Problem| {
            (problem.reason == SETUP_FAILED || is_awaited(problem.reason))
                && !is_of_canary(&left.draft, problem)
        };
        let waiting = left.draft.problems.iter().filter(is_waiting).count();
        args.allow_partial || (is_covered(&left.draft) && refused <= waiting)
    };
    let started = control.hand_over(loaded, may_serve, |generation, _| {
        Gateway::start(Options {
            generation,
            workers,
            access_log: writes.then(|| Box::new(std::io::stdout()) as _),
            node: args.node.node(),
            name_servers: args.dns.dns_servers.clone(),
            simulation: None,
        })
    });
    started.map_err(|(_, err)| err.into())
}

fn serve_admin(bound: Bound, board: &Board, orders: mpsc::Sender<Order>) -> anyhow::Result<Admin> {
    tracing::info!("admin API on {}", bound.name());
    let answers = admin::Answers {
        board: board.clone(),
        orders,
    };
    Ok(bound.serve(answers)?)
}

fn access_log(arg: AccessLogArg) -> AccessLog {
    match arg {
        AccessLogArg::Text => AccessLog::Text,
        AccessLogArg::Json => AccessLog::Json,
        AccessLogArg::Brief => AccessLog::Brief,
        AccessLogArg::Off => AccessLog::Off,
    }
}
