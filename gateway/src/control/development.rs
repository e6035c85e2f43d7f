//! What `tidegate plugin dev` puts in the place of what resources say.
//!
//! Owns the three things that differ while a filter is written: the module that was just built, where
//! to listen, and where the application is. All else is as the files say, so that what works here
//! works there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginSource;
use tidegate_core::backend::Backend;
use tidegate_core::backend::Endpoint;

use crate::url::Destination;
use crate::url::Url;

/// The name of the backend that is the application.
pub(crate) const APP: &str = "app";

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Development {
    /// The file that Plugins name; absolute.
    pub(crate) released: PathBuf,
    /// The one that they get; absolute.
    pub(crate) built: PathBuf,
    /// Where the first listener listens, if not where it says.
    pub(crate) listen: Option<SocketAddr>,
    /// Where the application is, if not where its Backend says.
    pub(crate) app: Option<Url>,
}

impl Development {
    /// Makes the changes in a draft that nobody else has yet.
    pub(crate) fn adapt(&self, draft: &mut Draft) {
        for plugin in &mut draft.plugins {
            if plugin.source == PluginSource::File(self.released.clone()) {
                plugin.source = PluginSource::File(self.built.clone());
            }
        }
        if let Some(listen) = self.listen
            && let Some(bind) = draft.snapshot.binds.first_mut().and_then(Arc::get_mut)
        {
            bind.address = listen;
        }
        if let Some(url) = &self.app {
            let backends = &mut draft.snapshot.backends;
            let apps = backends.iter().filter(|backend| is_app(backend));
            let apps: Vec<Arc<Backend>> = apps.map(Arc::clone).collect();
            for app in apps {
                backends.insert(Arc::new(moved(&app, url)));
            }
        }
    }
}

/// Whether a backend is the application.
pub(crate) fn is_app(backend: &Backend) -> bool {
    let name = backend.name.as_str();
    name == APP || name.rsplit_once('/').is_some_and(|(_, name)| name == APP)
}

fn moved(backend: &Backend, url: &Url) -> Backend {
    let (endpoints, dns) = match url.destination() {
        Destination::Address(address) => (vec![Endpoint::from(address)], None),
        Destination::Name(source) => (Vec::new(), Some(Arc::new(source))),
    };
    Backend {
        endpoints,
        dns,
        authority: url.authority().clone(),
        tls: None,
        ..backend.clone()
    }
}
