//! Files and folders: what is read, and what is said about what cannot be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tidegate_config::problem::Problem;
use tidegate_config::source;
use tidegate_config::source::SourceFile;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("writable");
    }
    folder
}

/// Names of the files that were read, with the number of their documents.
fn names(files: &[SourceFile]) -> Vec<(String, Option<usize>)> {
    files
        .iter()
        .map(|file| {
            let name = file.path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), file.documents.as_ref().map(Vec::len))
        })
        .collect()
}

/// Problems as `name:line:column message`.
fn said(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| match &problem.place {
            None => problem.message.clone(),
            Some(place) => {
                let name = place.file.file_name().expect("a name").to_string_lossy();
                format!("{name}:{}:{} {}", place.line, place.column, problem.message)
            }
        })
        .collect()
}

#[track_caller]
fn check(path: &Path, read: &[(&str, Option<usize>)], expected: &[&str]) {
    let mut problems = Vec::new();
    let files = source::read(path, &mut problems).unwrap_or_default();
    let read: Vec<(String, Option<usize>)> = read
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect();
    assert_eq!(
        (names(&files), said(&problems)),
        (
            read,
            expected.iter().map(|text| (*text).to_owned()).collect()
        )
    );
}

#[test]
fn a_folder_is_its_own_yaml_and_json_files_in_order() {
    let folder = folder(&[
        ("b.yml", b"b: 1\n---\nc: 1\n"),
        ("a.yaml", b"a: 1\n"),
        ("c.JSON", b"{}"),
        ("notes.txt", b"no"),
        (".hidden.yaml", b"no: 1"),
        ("tidegate.schema.json", b"{}"),
        ("empty.yaml", b"# nothing yet\n"),
    ]);
    fs::create_dir(folder.path().join("below")).expect("writable");
    fs::write(folder.path().join("below/d.yaml"), "d: 1").expect("writable");
    check(
        folder.path(),
        &[
            ("a.yaml", Some(1)),
            ("b.yml", Some(2)),
            ("c.JSON", Some(1)),
            ("empty.yaml", Some(0)),
        ],
        &[],
    );
}

#[test]
fn a_mounted_config_map_is_read_once() {
    let folder = folder(&[]);
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("..2026_01")).expect("writable");
    fs::write(at("..2026_01/a.yaml"), "a: 1").expect("writable");
    symlink("..2026_01", at("..data")).expect("writable");
    symlink("..data/a.yaml", at("a.yaml")).expect("writable");
    symlink("a.yaml", at("again.yaml")).expect("writable");
    check(folder.path(), &[("a.yaml", Some(1))], &[]);
}

#[test]
fn an_empty_or_missing_folder_is_a_problem() {
    let folder = folder(&[("a.txt", b"")]);
    let path = folder.path().display();
    check(
        folder.path(),
        &[],
        &[&format!("the folder {path} holds no configuration")],
    );
    let missing = folder.path().join("x");
    let expected = format!(
        "cannot read {}: no such file or directory",
        missing.display()
    );
    check(&missing, &[], &[&expected]);
}

#[test]
fn a_file_is_read_whatever_its_name_is() {
    let folder = folder(&[("gateway.conf", b"a: 1\n---\nb: 1")]);
    check(
        &folder.path().join("gateway.conf"),
        &[("gateway.conf", Some(2))],
        &[],
    );
}

#[test]
fn a_byte_order_mark_and_windows_lines_change_nothing() {
    let folder = folder(&[("a.yaml", b"\xef\xbb\xbfa: 1\r\n---\r\nb: 2\r\n")]);
    check(folder.path(), &[("a.yaml", Some(2))], &[]);
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_place() {
    let folder = folder(&[
        ("a.yaml", b"a: 1\nb: \xc3\xa4\xff"),
        ("b.yaml", b"\xff\xfea\0"),
        ("c.yaml", b"a: \xc3\xa4\0"),
        ("d.yaml", b"a: 1\rb: 2\n"),
        ("e.yaml", b"a: \x1b[2J"),
    ]);
    check(
        folder.path(),
        &[
            ("a.yaml", None),
            ("b.yaml", None),
            ("c.yaml", None),
            ("d.yaml", None),
            ("e.yaml", None),
        ],
        &[
            "a.yaml:2:5 the file is not valid UTF-8 from here on",
            "b.yaml:1:1 the file is UTF-16 text, expected UTF-8",
            "c.yaml:1:5 the file holds a NUL byte",
            "d.yaml:1:5 a carriage return without line feed",
            "e.yaml:1:4 the control character U+001B",
        ],
    );
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let folder = folder(&[]);
    let at = |name: &str| folder.path().join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, at("a.yaml"), rustix::fs::Mode::RWXU).expect("a pipe");
    fs::create_dir(at("b.yaml")).expect("writable");
    symlink("/dev/zero", at("c.yaml")).expect("writable");
    symlink("nowhere", at("d.yaml")).expect("writable");
    check(
        folder.path(),
        &[
            ("a.yaml", None),
            ("b.yaml", None),
            ("c.yaml", None),
            ("d.yaml", None),
        ],
        &[
            "a.yaml:1:1 this is a pipe, socket or device, not a file",
            "b.yaml:1:1 this is a folder, not a file",
            "c.yaml:1:1 this is a pipe, socket or device, not a file",
            "d.yaml:1:1 cannot read the file: no such file or directory",
        ],
    );
}

#[test]
fn a_file_of_100_megabytes_is_refused_unread() {
    let folder = folder(&[("b.yaml", b"b: 1")]);
    let file = fs::File::create(folder.path().join("a.yaml")).expect("writable");
    file.set_len(100 << 20).expect("writable");
    check(
        folder.path(),
        &[("a.yaml", None), ("b.yaml", Some(1))],
        &["a.yaml:1:1 the file exceeds 16 MiB"],
    );
}

#[test]
fn documents_are_bounded_in_number() {
    let folder = folder(&[("a.yaml", "a: 1\n---\n".repeat(100_001).as_bytes())]);
    check(
        folder.path(),
        &[("a.yaml", None)],
        &["a.yaml:1:1 there are more than 100000 documents"],
    );
}

#[test]
fn an_empty_file_is_a_problem_and_deletes_nothing() {
    let folder = folder(&[("a.yaml", b""), ("b.yaml", b" \n\n")]);
    check(
        folder.path(),
        &[("a.yaml", None), ("b.yaml", None)],
        &[
            "a.yaml:1:1 the file is empty",
            "b.yaml:1:1 the file is empty",
        ],
    );
}
