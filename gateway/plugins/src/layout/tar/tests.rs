//! Archives that GNU tar makes, in each of its forms, and damaged ones.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;

use super::Archive;
use super::What;

/// What GNU tar makes of a folder.
fn tar(folder: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["--format", format, "-cf", "-", "-C"])
        .arg(folder)
        .arg(".")
        .output()
        .expect("tar is on every machine");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn members(bytes: &[u8]) -> Vec<(String, What, Vec<u8>)> {
    let mut archive = Archive::new(bytes);
    let mut members = Vec::new();
    while let Some(member) = archive.next().expect("it is whole") {
        let mut content = Vec::new();
        archive.read_to_end(&mut content).expect("it is whole");
        assert_eq!(content.len() as u64, member.bytes);
        members.push((member.path, member.is, content));
    }
    members
}

#[test]
fn archives_of_gnu_tar_are_read_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a/".repeat(20)).join("b".repeat(90));
    std::fs::create_dir_all(&deep).expect("made");
    let files = [
        (folder.path().join("plugin.wasm"), vec![7; 1000]),
        (folder.path().join("empty"), Vec::new()),
        (deep.join("c".repeat(90)), vec![8; 512]),
    ];
    for (path, content) in &files {
        std::fs::write(path, content).expect("written");
    }
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("made");
    for format in ["gnu", "oldgnu", "pax", "posix", "ustar"] {
        let members = members(&tar(folder.path(), format));
        for (path, content) in &files {
            let name = path.strip_prefix(folder.path()).unwrap().to_str().unwrap();
            let expected = (format!("./{name}"), What::File, content.clone());
            assert!(members.contains(&expected), "{format}: {name}");
        }
        let link = members.iter().find(|(path, _, _)| path == "./link");
        assert_eq!(link.map(|(_, is, _)| *is), Some(What::Link), "{format}");
    }
}

#[test]
fn a_file_with_holes_is_known_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plugin.wasm");
    let file = std::fs::File::create(&path).expect("made");
    file.set_len(10 << 20).expect("holes");
    for format in ["gnu", "pax"] {
        let output = Command::new("tar")
            .args(["--sparse", "--format", format, "-cf", "-", "-C"])
            .arg(folder.path())
            .arg("plugin.wasm")
            .output()
            .expect("tar is on every machine");
        let mut archive = Archive::new(output.stdout.as_slice());
        let member = archive.next().expect("whole").expect("there is one");
        assert_eq!(member.is, What::Sparse, "{format}");
    }
}

#[test]
fn a_damaged_archive_is_said_to_be_so() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plugin.wasm"), [7; 1000]).expect("written");
    let whole = tar(folder.path(), "ustar");
    for cut in [700, 1100, 1600] {
        let mut archive = Archive::new(whole.get(..cut).unwrap());
        let outcome = std::iter::from_fn(|| archive.next().transpose()).find_map(Result::err);
        assert!(outcome.is_some(), "cut after {cut}");
    }
    let mut wrong = whole;
    wrong[513] ^= 1;
    let mut archive = Archive::new(wrong.as_slice());
    archive.next().expect("the folder");
    let err = archive.next().expect_err("its sum is wrong");
    assert!(err.to_string().contains("checksum"), "{err}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_or_hang(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), fix in any::<bool>()) {
        if fix && bytes.len() >= 512 {
            // A right checksum, so that the rest is looked at.
            bytes[148..156].fill(b' ');
            let sum: u64 = bytes[..512].iter().map(|byte| u64::from(*byte)).sum();
            bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut archive = Archive::new(bytes.as_slice());
        while let Ok(Some(_)) = archive.next() {}
    }
}
