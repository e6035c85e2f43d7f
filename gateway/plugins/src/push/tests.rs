//! Images, looked at by others' programs.

use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;

use bytes::Bytes;

use super::Description;
use super::FolderError;
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

#[test]
fn an_image_is_the_same_after_a_folder_and_what_was_changed_there_is_noticed() {
    for format in [Format::Compat, Format::Cncf] {
        let image = Image::new(&module(), format, &description()).expect("a module");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name| image.write_folder(folder.path(), name).expect("written");
        write(Some("1.2.3"));
        assert_eq!(Image::read_folder(folder.path()).expect("an image"), image);
        write(None);
        let path = folder
            .path()
            .join("blobs/sha256")
            .join(crate::Digest::of(image.blobs.first().expect("a layer")).to_hex());
        std::fs::write(&path, b"another").expect("written");
        let err = Image::read_folder(folder.path()).expect_err("it was changed");
        assert!(err.to_string().contains("its digest is sha256:"), "{err}");
        std::fs::remove_file(&path).expect("it is there");
        let err = Image::read_folder(folder.path()).expect_err("it is gone");
        assert!(matches!(err, FolderError::Read { .. }), "{err:?}");
    }
}

#[test]
fn a_folder_of_anything_but_one_image_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = || {
        let err = Image::read_folder(folder.path()).expect_err("it is refused");
        err.to_string()
    };
    assert!(refusal().contains("is no image layout"));
    let image = Image::new(&module(), Format::Cncf, &description()).expect("a module");
    image.write_folder(folder.path(), None).expect("written");
    let listed = |media_type: &str| {
        serde_json::json!({
            "mediaType": media_type, "digest": image.digest, "size": image.manifest.len(),
        })
    };
    let write = |manifests: &[serde_json::Value]| {
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests });
        std::fs::write(folder.path().join("index.json"), index.to_string()).expect("written");
    };
    write(&[]);
    assert!(refusal().contains("has 0 images"), "{}", refusal());
    write(&[listed(image.media_type), listed(image.media_type)]);
    assert!(refusal().contains("has 2 images"), "{}", refusal());
    write(&[listed("application/vnd.oci.image.index.v1+json")]);
    assert!(refusal().contains("list of images"), "{}", refusal());
    write(&[listed("text/plain")]);
    assert!(refusal().contains("text/plain"), "{}", refusal());
    write(&[listed("")]);
    assert_eq!(
        Image::read_folder(folder.path()).expect("it says it itself"),
        image
    );
    std::fs::write(folder.path().join("index.json"), "{").expect("written");
    assert!(refusal().contains("index.json"), "{}", refusal());
}
