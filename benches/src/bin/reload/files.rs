//! The files that the gateway serves.
//!
//! Owns one Gateway, one Backend, and so many HTTPRoutes in one file. All have hosts of their own but
//! the last, which has all others, and whose responses say which version of the file made them.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tidegate_benches::resources::{backend, gateway};

/// The files of one gateway.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    others: String,
    version: u64,
}

impl Files {
    /// Writes them below `place`.
    pub(crate) fn write(
        place: &Path,
        listen: SocketAddr,
        origin: SocketAddr,
        routes: usize,
    ) -> Result<Self> {
        let folder = place.join("config");
        fs::create_dir(&folder)?;
        let base = [gateway(listen), backend("origin", origin)];
        fs::write(folder.join("gateway.yaml"), base.concat())?;
        let mut others = String::new();
        for number in 1..routes {
            write!(others, "{}", route(number))?;
        }
        let mut files = Self {
            folder,
            others,
            version: 0,
        };
        files.change()?;
        Ok(files)
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Changes one route, and returns the version that its responses have from then on.
    pub(crate) fn change(&mut self) -> Result<u64> {
        self.version += 1;
        let version = self.version;
        let mut text = self.others.clone();
        write!(text, "{}", last_route(version))?;
        // As an editor does: no half-written file is ever seen.
        let written = self.folder.join(".routes.yaml.new");
        fs::write(&written, text)?;
        fs::rename(&written, self.folder.join("routes.yaml"))?;
        Ok(version)
    }
}

fn route(number: usize) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: shop-{number}
spec:
  parentRefs:
    - name: edge
  hostnames:
    - shop-{number}.test
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /cart
        - path:
            type: Exact
            value: /health
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set:
              - name: x-shop
                value: \"{number}\"
      backendRefs:
        - group: tidegate.dev
          kind: Backend
          name: origin
          weight: 1
---
"
    )
}

fn last_route(version: u64) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: all-others }}
spec:
  parentRefs: [{{ name: edge }}]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: {{ set: [{{ name: x-version, value: \"{version}\" }}] }}
      backendRefs: [{{ group: tidegate.dev, kind: Backend, name: origin }}]
"
    )
}
