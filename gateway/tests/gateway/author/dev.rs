//! `plugin dev`: a filter that is edited while it serves.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_testkit::Client;
use tidegate_testkit::Origin;

use super::kept;
use super::plugin;

/// A compiler may have to work beside other tests.
const COMPILED: Duration = Duration::from_secs(300);

/// A filter without any SDK, so that it is compiled at once: it answers with one status.
fn source(status: &str) -> String {
    format!(
        r#"
        #[link(wasm_import_module = "env")]
        unsafe extern "C" {{
            fn proxy_send_local_response(
                status: u32, details: usize, details_length: usize, body: usize, body_length: usize,
                headers: usize, headers_length: usize, grpc_status: i32,
            ) -> u32;
        }}
        #[unsafe(no_mangle)]
        pub extern "C" fn proxy_abi_version_0_2_1() {{}}
        #[unsafe(no_mangle)]
        pub extern "C" fn proxy_on_memory_allocate(_: usize) -> usize {{ 0 }}
        #[unsafe(no_mangle)]
        pub extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {{
            unsafe {{ proxy_send_local_response({status}, 0, 0, 0, 0, 0, 0, -1) }};
            1
        }}
        "#
    )
}

/// `plugin dev`, killed when dropped.
struct Dev {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Dev {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = plugin(folder, &["dev"]);
        command
            .args(args)
            .env("CARGO_TARGET_DIR", folder.join("target"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        Self::read(out.expect("piped"), &said);
        Self::read(err.expect("piped"), &said);
        Self { child, said }
    }

    fn read(from: impl Read + Send + 'static, said: &Arc<Mutex<String>>) {
        let said = Arc::clone(said);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut said = said.lock().expect("not poisoned");
                said.push_str(&line);
                said.push('\n');
            }
        });
    }

    fn said(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.said().contains(text) {
            assert!(
                start.elapsed() < COMPILED,
                "{text:?} was not said: {}",
                self.said()
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn address(&self) -> SocketAddr {
        self.wait_for("listening on ");
        let said = self.said();
        let line = said
            .lines()
            .find_map(|line| Some(line.rsplit_once("listening on ")?.1));
        line.expect("said").trim().parse().expect("an address")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Requests one after the other, on a thread.
struct Asking {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u16>>,
    address: SocketAddr,
}

impl Asking {
    /// Begins, and waits for the first answers.
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, (first, came)) = (Arc::clone(&stop), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let mut statuses = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                statuses.push(Client::connect(address).get("/").status());
                first.send(()).ok();
            }
            statuses
        });
        came.recv_timeout(COMPILED).expect("an answer");
        Self {
            stop,
            thread,
            address,
        }
    }

    /// The statuses of all answers until now, and of some after.
    fn stop(self) -> (Vec<u16>, Vec<u16>) {
        self.stop.store(true, Ordering::SeqCst);
        let before = self.thread.join().expect("it asks");
        let after = || Client::connect(self.address).get("/").status();
        (before, std::iter::repeat_with(after).take(20).collect())
    }
}

#[test]
fn what_is_saved_is_swapped_in_and_what_does_not_compile_is_not() {
    let folder = kept("dev");
    let manifest = "[package]\nname = \"edited\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::create_dir_all(folder.join("src")).expect("made");
    std::fs::write(folder.join("Cargo.toml"), manifest).expect("written");
    let save = |text: &str| std::fs::write(folder.join("src/lib.rs"), text).expect("written");
    // The first does not compile: it waits for one that does.
    save("fn broken(");
    let origin = Origin::answers(200, "application");
    let to = format!("http://{}", origin.address());
    let dev = Dev::start(&folder, &["--listen", "127.0.0.1:0", "--to", &to]);
    dev.wait_for("waiting for a change");
    save(&source("418"));
    let address = dev.address();
    assert!(
        dev.said().contains("there is no tidegate.yaml"),
        "{}",
        dev.said()
    );
    let status = || Client::connect(address).get("/").status();
    assert_eq!(status(), 418);

    // Clients that go on all the while: each gets an answer of one version or the other.
    let asking = Asking::start(address);
    save(&source("419"));
    dev.wait_for("generation 2 serves");
    let (before, after) = asking.stop();
    assert!(
        before.iter().all(|one| [418, 419].contains(one)),
        "{before:?}"
    );
    assert!(before.contains(&418), "some came before the swap");
    assert!(after.iter().all(|one| *one == 419), "{after:?}");

    save(&source("no number"));
    dev.wait_for("it does not compile; the filter before serves on");
    assert_eq!(status(), 419);

    // It names a file that is not there yet.
    save(&format!("mod words;\n{}", source("words::STATUS")));
    dev.wait_for("file not found for module `words`");
    assert_eq!(status(), 419);
    let words = folder.join("src/words.rs");
    std::fs::write(&words, "pub const STATUS: u32 = 420;").expect("written");
    dev.wait_for("generation 3 serves");
    assert_eq!(status(), 420);
    std::fs::remove_file(&words).expect("removed");
    dev.wait_for(" 420 GET / ");
    dev.wait_for(" ms local_response\n");

    let pid = dev.child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill runs").success());
    let mut dev = dev;
    assert!(dev.child.wait().expect("it ends").success());
}
