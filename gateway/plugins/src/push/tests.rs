//! Images, looked at by others' programs.

use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;

use bytes::Bytes;

use super::Description;
use super::Format;
use super::Image;
use super::ImageError;
use crate::layout::Kind;

/// An archive as we push it, for tests of what reads archives.
pub(crate) fn tar(module: &[u8]) -> Vec<u8> {
    super::archive::tar(module).expect("it is small")
}

fn module() -> Bytes {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.resize(5000, 7);
    module.into()
}

fn description() -> Description {
    Description {
        title: Some("auth".to_owned()),
        version: Some("1.2.3".to_owned()),
        abi: Some("0.2.1".to_owned()),
        config_schema: Some("{}".to_owned()),
        ..Description::default()
    }
}

#[test]
fn the_same_module_is_the_same_image() {
    for format in [Format::Compat, Format::Cncf] {
        let make = || Image::new(&module(), format, &description()).expect("a module");
        assert_eq!(make(), make());
    }
    // Known bytes: whoever changes them changes every digest that was pinned.
    let image = Image::new(&module(), Format::Cncf, &Description::default()).expect("a module");
    let text = std::str::from_utf8(&image.manifest).expect("JSON");
    assert!(text.starts_with(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"#
    ));
}

#[test]
fn gnu_tar_and_gzip_find_the_module_in_the_layer() {
    let image = Image::new(&module(), Format::Compat, &description()).expect("a module");
    let layer = image.blobs.first().expect("a layer");
    let tar = |arguments: &[&str]| {
        let mut child = Command::new("tar")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar is on every machine");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(layer).expect("read");
        drop(input);
        child.wait_with_output().expect("it ends").stdout
    };
    assert_eq!(tar(&["-xzO", "plugin.wasm"]), module());
    let list = String::from_utf8(tar(&["-tvz", "--full-time", "--utc"])).expect("text");
    assert!(list.starts_with("-rw-r--r-- 0/0"), "{list}");
    assert!(
        list.contains("5000 1970-01-01 00:00:00 plugin.wasm"),
        "{list}"
    );
}

#[test]
fn what_is_said_about_a_plugin_is_in_annotations() {
    let image = Image::new(&module(), Format::Compat, &description()).expect("a module");
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).expect("JSON");
    let annotation = |name: &str| manifest["annotations"][name].as_str().map(str::to_owned);
    assert_eq!(
        annotation("org.opencontainers.image.title").as_deref(),
        Some("auth")
    );
    assert_eq!(
        annotation("org.opencontainers.image.version").as_deref(),
        Some("1.2.3")
    );
    assert_eq!(
        annotation("dev.tidegate.plugin.abi").as_deref(),
        Some("0.2.1")
    );
    assert_eq!(
        annotation("module.wasm.image/variant").as_deref(),
        Some("compat")
    );
    let schema = annotation("dev.tidegate.plugin.config-schema").expect("its digest");
    assert!(schema.starts_with("sha256:44136fa3"), "{schema}");
}

#[test]
fn what_is_no_module_is_not_made_into_an_image() {
    let make = |bytes: &'static [u8]| {
        Image::new(
            &Bytes::from_static(bytes),
            Format::Compat,
            &Description::default(),
        )
    };
    let expected = |kind| Err(ImageError::NotAModule { kind });
    assert_eq!(make(b"\0asm\x0d\0\x01\0"), expected(Kind::Component));
    assert_eq!(make(b"\x7fELF"), expected(Kind::Program));
    assert_eq!(make(b""), expected(Kind::Empty));
}
