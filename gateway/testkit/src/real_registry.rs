//! A real registry (CNCF distribution, as Debian has it) that wants a password, and the tools of
//! others that push to it: skopeo, which podman and buildah share their code with, and oras.
//!
//! Tests start it only where peers are wanted ([`crate::Peer::wanted`]).

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::peer::Peer;
use crate::peer::Place;
use crate::peer::peers;

/// Who may use the registry.
pub const USER: &str = "me";
/// With this.
pub const PASSWORD: &str = "s3cret";
/// Both as htpasswd writes them (bcrypt).
const HTPASSWD: &str = "me:$2b$04$V0HNjhRIkwPmfUwksrCrWu0S155vCwvxVf9nM8Y/sfe9Qo9uG6NB6\n";

/// Pushes files with oras: the registry, the reference, then files with their types.
const ORAS_PUSH: &str = "\
import sys, oras.client
c = oras.client.OrasClient(hostname=sys.argv[1], insecure=True, auth_backend='basic')
c.auth.set_basic_auth(sys.argv[2], sys.argv[3])
c.push(target=sys.argv[4], files=sys.argv[5:], disable_path_validation=True)
";

/// A registry that keeps what it has while it is stopped; ends when dropped.
#[derive(Debug)]
pub struct RealRegistry {
    process: Option<Peer>,
    address: SocketAddr,
    files: tempfile::TempDir,
}

impl RealRegistry {
    /// An empty one on a free port.
    ///
    /// # Panics
    ///
    /// If it does not start, or skopeo cannot log in.
    #[track_caller]
    pub fn start() -> Self {
        let place = Place::new();
        let mut registry = Self {
            process: None,
            address: place.address,
            files: tempfile::tempdir().expect("a folder"),
        };
        registry.serve(place);
        let mut login = skopeo();
        login.args(["login", "--tls-verify=false", "--authfile"]);
        login.arg(registry.auth_file());
        login.args(["-u", USER, "-p", PASSWORD, &registry.address.to_string()]);
        run(&mut login);
        registry
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The reference of `name:tag` here.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// What skopeo wrote when it logged in: a file as docker's.
    pub fn auth_file(&self) -> PathBuf {
        self.files.path().join("auth.json")
    }

    /// A folder for tests, which goes when the registry does.
    pub fn folder(&self) -> &Path {
        self.files.path()
    }

    /// Ends the process; what it has stays.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again where it was, with what it had.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.stop();
        self.serve(Place::at(self.address));
    }

    #[track_caller]
    fn serve(&mut self, place: Place) {
        let (here, kept) = (place.path().display(), self.files.path().display());
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {kept}/data }} }}\n\
             http: {{ addr: \"{}\", secret: x }}\n\
             auth: {{ htpasswd: {{ realm: tests, path: {here}/htpasswd }} }}\n",
            place.address
        );
        place.file("htpasswd", HTPASSWD);
        let config = place.file("config.yml", config);
        let mut command = Command::new("docker-registry");
        self.process = Some(place.start(command.arg("serve").arg(config)));
    }

    /// Copies an image with skopeo, between what it calls places: `oci:FOLDER:TAG`,
    /// `docker://REFERENCE`, `dir:FOLDER`.
    ///
    /// # Panics
    ///
    /// If skopeo fails.
    #[track_caller]
    pub fn skopeo_copy(&self, flags: &[&str], from: &str, to: &str) {
        let mut copy = skopeo();
        copy.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        copy.arg("--authfile").arg(self.auth_file());
        run(copy.args(flags).args([from, to]));
    }

    /// Pushes files, each with its media type, with oras.
    ///
    /// # Panics
    ///
    /// If oras fails.
    #[track_caller]
    pub fn oras_push(&self, to: &str, files: &[(&str, &str, &[u8])]) {
        let folder = tempfile::tempdir().expect("a folder");
        let python = peers().join("oras/bin/python");
        assert!(python.exists(), "{} is missing", python.display());
        let mut oras = Command::new(python);
        oras.args(["-c", ORAS_PUSH, &self.address.to_string(), USER, PASSWORD]);
        oras.arg(self.reference(to)).current_dir(folder.path());
        for (name, media_type, content) in files {
            std::fs::write(folder.path().join(name), content).expect("written");
            oras.arg(format!("{name}:{media_type}"));
        }
        run(&mut oras);
    }
}

fn skopeo() -> Command {
    let mut skopeo = Command::new("skopeo");
    // Machines without Debian's configuration of containers have no policy.
    skopeo.arg("--insecure-policy");
    skopeo
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|err| panic!("{command:?}: {err}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}
