//! The configuration that the gateway follows: a copy of `examples/quickstart`, there to be edited.
//!
//! Owns the copy and the edits of the tour. A copy differs from the original in what must differ on
//! this machine, ports that are taken and where the filter is, and it has a listener for HTTPS. Each
//! start makes a fresh one.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::backends::Backends;
use crate::identity::{CERTIFICATE, Identity, KEY};
use crate::places::Places;
use crate::ports::Chosen;
use crate::registry::Registry;

/// The original. Whoever changes it sees here, at the next start, what no longer fits.
const QUICKSTART: &str = include_str!("../../quickstart/gateway.yaml");

/// The file that is the copy of it.
pub(crate) const GATEWAY: &str = "gateway.yaml";

/// Examples whose routes and policies are served too, each in a file of its own: their Gateways and their
/// backends are those of the quickstart.
const OTHERS: [(&str, &str); 3] = [
    ("policies.yaml", include_str!("../../auth/gateway.yaml")),
    (
        "limits.yaml",
        include_str!("../../rate-limits/gateway.yaml"),
    ),
    (TRAFFIC, include_str!("../traffic.yaml")),
];

/// The demo's own: what the examples of rollouts and faults show, beside all else.
pub(crate) const TRAFFIC: &str = "traffic.yaml";

/// What is served out of a registry, and what stands there for its reference.
const PULLED: (&str, &str) = ("registry.yaml", include_str!("../registry.yaml"));
const REFERENCE: &str = "REFERENCE";

/// The only listener of the original.
const LISTENER: &str = "{ name: http, port: 8080, protocol: HTTP }";

/// How many demos may run at a time.
const COPIES: u32 = 16;

/// One text of the configuration in place of another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    /// The name of the file.
    pub(crate) file: &'static str,
    /// What stands there, exactly once.
    pub(crate) from: &'static str,
    /// What is to stand there.
    pub(crate) to: &'static str,
}

/// A folder with a configuration that no other demo uses.
#[derive(Debug)]
pub(crate) struct Config {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The folder for what is pulled; there is none yet.
    pub(crate) plugins: PathBuf,
    /// What the gateway shows for HTTPS.
    pub(crate) identity: Identity,
    /// Held as long as the folder is used.
    _lock: File,
}

impl Config {
    /// Copies the quickstart; the gateway is to listen on these ports.
    pub(crate) fn copy(
        places: &Places,
        backends: &Backends,
        registry: &Registry,
        ports: Chosen,
    ) -> Result<Self> {
        let (folder, lock) = free_folder(&places.configs)?;
        let copies = [
            (GATEWAY, adapted(&places.filter, backends, ports)?),
            (
                PULLED.0,
                replaced(PULLED.1, REFERENCE, &registry.reference())?,
            ),
        ];
        let others = OTHERS.map(|(name, example)| (name, routes_and_policies(example)));
        for (name, text) in copies.into_iter().chain(others) {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        }
        let plugins = folder.with_extension("plugins");
        match fs::remove_dir_all(&plugins) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(err).with_context(|| format!("empty {}", plugins.display()));
            }
            _ => {}
        }
        Ok(Self {
            identity: Identity::make(&folder)?,
            plugins,
            folder,
            _lock: lock,
        })
    }

    /// Does what the line of [`Config::sed`] does, in the way `sed -i` does it: by a new file in place of the
    /// old one. All edits of a step are of one file.
    pub(crate) fn edit(&self, edits: &[Edit]) -> Result<()> {
        let Some(file) = self.file(edits) else {
            return Ok(());
        };
        let name = file.display();
        let mut text = fs::read_to_string(&file).with_context(|| format!("read {name}"))?;
        for edit in edits {
            text = replaced(&text, edit.from, edit.to)?;
        }
        let unfinished = self.folder.join(".edited");
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &file))
            .with_context(|| format!("write {name}"))
    }

    /// The edits as a line to type; `None` if there are none.
    pub(crate) fn sed(&self, edits: &[Edit]) -> Option<String> {
        let file = self.file(edits)?;
        Some(sed(edits, &file))
    }

    fn file(&self, edits: &[Edit]) -> Option<PathBuf> {
        edits.first().map(|edit| self.folder.join(edit.file))
    }
}

fn sed(edits: &[Edit], file: &Path) -> String {
    let mut line = String::from("sed -i");
    for Edit { from, to, .. } in edits {
        // Writing to a String does not fail.
        write!(line, " -e 's|{from}|{to}|'").ok();
    }
    write!(line, " {}", file.display()).ok();
    line
}

/// The first folder that no running demo uses, empty.
fn free_folder(first: &Path) -> Result<(PathBuf, File)> {
    let name = first.file_name().context("the folder has a name")?;
    for number in 1..=COPIES {
        let mut name = name.to_owned();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let folder = first.with_file_name(&name);
        name.push(".lock");
        let lock = first.with_file_name(&name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let file = File::create(&lock).with_context(|| format!("make {}", lock.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(err)) => {
                return Err(err).with_context(|| format!("lock {}", lock.display()));
            }
        }
        fs::remove_dir_all(&folder)
            .and_then(|()| fs::create_dir(&folder))
            .with_context(|| format!("empty {}", folder.display()))?;
        return Ok((folder, file));
    }
    bail!(
        "{COPIES} demos run already, as the locks of {} say",
        first.display()
    )
}

/// The resources of an example that do not depend on this machine.
fn routes_and_policies(example: &str) -> String {
    let resources = example.split("\n---\n");
    let kept =
        resources.filter(|it| !it.contains("kind: Gateway\n") && !it.contains("kind: Backend\n"));
    kept.collect::<Vec<_>>().join("\n---\n")
}

/// The quickstart for this machine.
fn adapted(filter: &Path, backends: &Backends, ports: Chosen) -> Result<String> {
    // A JSON string is a YAML string, whatever is in the path.
    let filter = serde_json::to_string(filter).context("the path of the filter is not UTF-8")?;
    let addresses: [(&str, SocketAddr); 3] = [
        ("127.0.0.1:9001", backends.apples),
        ("127.0.0.1:9002", backends.pears),
        ("127.0.0.1:9003", backends.auth),
    ];
    let Chosen {
        gateway, secure, ..
    } = ports;
    // On one line, because the tour speaks of the lines below.
    let listeners = format!(
        "{{ name: http, port: {gateway}, protocol: HTTP }}, {{ name: https, port: {secure}, \
         protocol: HTTPS, tls: {{ certificateRefs: [{{ group: tidegate.dev, kind: Certificate, \
         name: demo }}] }} }}"
    );
    let mut text = replaced(QUICKSTART, LISTENER, &listeners)?;
    write!(
        text,
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: Certificate\nmetadata: {{ name: demo }}\n\
         spec: {{ certificate: {CERTIFICATE}, key: {KEY} }}\n"
    )?;
    text = replaced(&text, "../../target/plugins/hello-filter.wasm", &filter)?;
    // Two steps, because an address that is given may be one that is to be replaced.
    for (usual, _) in addresses {
        text = replaced(&text, usual, &format!("<{usual}>"))?;
    }
    for (usual, real) in addresses {
        text = replaced(&text, &format!("<{usual}>"), &real.to_string())?;
    }
    Ok(text)
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replace(from, to)),
        found => bail!("{from:?} stands {found} times in the configuration, not once"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tour::STEPS;

    #[tokio::test]
    async fn the_copy_leads_to_what_runs_here() {
        let backends = Backends::start(crate::ports::Ports::Any).await.unwrap();
        let ports = crate::ports::Ports::Any.choose().unwrap();
        let text = adapted(Path::new("/a b/hello.wasm"), &backends, ports).unwrap();
        assert_eq!(text.matches("port: 0,").count(), 2, "{text}");
        assert!(
            text.contains(r#"source: { file: "/a b/hello.wasm" }"#),
            "{text}"
        );
        let pears = format!("address: \"{}\"", backends.pears);
        assert!(text.contains(&pears), "{text}");
        assert!(!text.contains("127.0.0.1:9002\""), "{text}");
    }

    #[test]
    fn every_edit_of_the_tour_finds_its_text_once() {
        let mut texts: HashMap<&str, String> = OTHERS
            .iter()
            .map(|(name, example)| (*name, routes_and_policies(example)))
            .collect();
        texts.insert(GATEWAY, QUICKSTART.to_owned());
        for edit in STEPS.iter().flat_map(|step| step.edits) {
            let text = texts.get_mut(edit.file).unwrap();
            *text = replaced(text, edit.from, edit.to).unwrap();
            // No sign that means something to sed.
            for part in [edit.from, edit.to] {
                assert!(!part.contains(['|', '\'', '\\', '.', '*', '[', '&', '^', '$']));
            }
        }
    }

    #[test]
    fn the_edits_of_a_step_are_of_one_file() {
        for step in STEPS {
            let files = step.edits.iter().map(|edit| edit.file);
            assert!(
                files
                    .collect::<Vec<_>>()
                    .windows(2)
                    .all(|two| two[0] == two[1])
            );
        }
    }

    #[test]
    fn an_edit_is_shown_as_a_line_to_type() {
        let edits = [
            Edit {
                file: GATEWAY,
                from: "a: b",
                to: "a: c",
            },
            Edit {
                file: GATEWAY,
                from: "d",
                to: "e",
            },
        ];
        assert_eq!(
            sed(&edits, Path::new("/x/y.yaml")),
            "sed -i -e 's|a: b|a: c|' -e 's|d|e|' /x/y.yaml"
        );
    }

    #[test]
    fn two_demos_have_two_folders() {
        let first = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
        let (one, lock) = free_folder(&first).unwrap();
        let (two, _other) = free_folder(&first).unwrap();
        assert_ne!(one, two);
        fs::write(one.join("left over"), "").unwrap();
        drop(lock);
        let (again, _lock) = free_folder(&first).unwrap();
        assert_eq!(again, one);
        assert_eq!(fs::read_dir(&again).unwrap().count(), 0);
        for folder in [one, two] {
            fs::remove_dir_all(&folder).unwrap();
            let mut lock = folder.into_os_string();
            lock.push(".lock");
            fs::remove_file(lock).unwrap();
        }
    }
}
