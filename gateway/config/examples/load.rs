//! Loads a configuration and says what it came to and how long it took; with a number instead of a
//! path, one of that many generated routes, of which one is changed then.
//!
//! `cargo run --release -p tidegate-config --example load -- 10000`

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use tidegate_config::draft::Draft;
use tidegate_config::load::Loader;
use tidegate_config::render::Colour;
use tidegate_config::render::render;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args()
        .nth(1)
        .ok_or("give a path or a number of routes")?;
    match argument.parse() {
        Ok(routes) => measure(routes),
        Err(_) => {
            timed(&mut Loader::new(&argument), "load");
            Ok(())
        }
    }
}

fn measure(routes: usize) -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("tidegate-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    for is_one_file in [true, false] {
        println!(
            "{routes} routes in {}",
            if is_one_file { "one file" } else { "100 files" }
        );
        let files = if is_one_file { 1 } else { 100 };
        for file in 0..files {
            write(&folder, file, files, routes, "old")?;
        }
        let mut loader = Loader::new(&folder);
        let draft = timed(&mut loader, "cold");
        loader.commit(&draft, &[]);
        write(&folder, files - 1, files, routes, "new\n# one line more")?;
        let draft = timed(&mut loader, "one file changed, all its documents moved");
        loader.commit(&draft, &[]);
        for _ in 0..5 {
            let draft = timed(&mut loader, "nothing changed");
            loader.commit(&draft, &[]);
        }
        memory();
        std::fs::remove_dir_all(&folder)?;
        std::fs::create_dir_all(&folder)?;
    }
    dangling(&folder, routes)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// All backends are misspelt at once, first with a last good version to fall back to.
fn dangling(folder: &Path, routes: usize) -> Result<(), Box<dyn Error>> {
    println!("{routes} routes that lose their backends");
    write(folder, 0, 1, routes, "old")?;
    let mut backends = String::new();
    for number in 0..routes {
        write!(
            backends,
            "---\napiVersion: tidegate.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: backend-{number} }}\n\
             spec: {{ endpoints: [{{ address: \"127.0.0.1:9001\" }}] }}\n"
        )?;
    }
    std::fs::write(folder.join("backends.yaml"), backends)?;
    let mut loader = Loader::new(folder);
    let draft = loader.load();
    loader.commit(&draft, &[]);
    let file = folder.join("0.yaml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace("name: api0", "name: apo0"))?;
    count(&mut loader, "with last good versions");
    count(&mut Loader::new(folder), "without");
    std::fs::write(
        &file,
        text.replace(
            "kind: Backend\n      name: api0",
            "kind: Backend\n      name: backnd",
        ),
    )?;
    count(&mut Loader::new(folder), "others near");
    Ok(())
}

fn count(loader: &mut Loader, what: &str) {
    let start = Instant::now();
    let draft = loader.load();
    println!(
        "{what}: {:?}, {} problems",
        start.elapsed(),
        draft.problems.len()
    );
}

/// Routes of several rules each, in the usual size.
fn write(
    folder: &Path,
    file: usize,
    files: usize,
    routes: usize,
    comment: &str,
) -> Result<(), Box<dyn Error>> {
    let mut text = format!(
        "# {comment}\n\
         apiVersion: gateway.networking.k8s.io/v1\n\
         kind: Gateway\n\
         metadata: {{ name: edge{file} }}\n\
         spec:\n  gatewayClassName: tidegate\n  listeners:\n  - {{ name: http, port: {}, protocol: HTTP }}\n\
         ---\n\
         apiVersion: tidegate.dev/v1alpha1\n\
         kind: Backend\n\
         metadata: {{ name: api{file} }}\n\
         spec: {{ endpoints: [{{ address: \"127.0.0.1:9001\" }}] }}\n",
        8000 + file
    );
    for number in 0..routes / files {
        write!(
            text,
            "---\n\
             apiVersion: gateway.networking.k8s.io/v1\n\
             kind: HTTPRoute\n\
             metadata:\n  name: route-{file}-{number}\n\
             spec:\n  parentRefs:\n  - name: edge{file}\n  hostnames:\n  - host-{number}.shop.test\n  rules:\n\
             \x20 - matches:\n    - path:\n        type: PathPrefix\n        value: /api/{number}\n\
             \x20   filters:\n    - type: RequestHeaderModifier\n      requestHeaderModifier:\n        set:\n        - name: x-route\n          value: \"{number} {}\"\n\
             \x20   backendRefs:\n    - group: tidegate.dev\n      kind: Backend\n      name: api{file}\n",
            if number == 7 {
                comment.split('\n').next().unwrap_or("")
            } else {
                ""
            },
        )?;
    }
    std::fs::write(folder.join(format!("{file}.yaml")), text)?;
    Ok(())
}

/// Resident memory, the draft that serves and what the loader remembers together (Linux).
fn memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmRSS")) {
        println!("{line}");
    }
}

fn timed(loader: &mut Loader, what: &str) -> Draft {
    let start = Instant::now();
    let draft = loader.load();
    let time = start.elapsed();
    print!("{}", render(&draft.problems, Colour::Never));
    println!(
        "{what}: {time:?}, {} resources, {} binds, {} backends, {} plugins, {} problems",
        draft.resources.len(),
        draft.snapshot.binds.len(),
        draft.snapshot.backends.iter().count(),
        draft.plugins.len(),
        draft.problems.len()
    );
    draft
}
