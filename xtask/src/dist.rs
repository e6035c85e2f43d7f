//! `cargo xtask dist`: our own filters as images, each in a folder that any tool can push.
//!
//! Owns which filters are published (those below `plugins/`), what is said about them beside what
//! they say themselves, and the page that says how to push them. The images are made by `tidegate
//! plugin pack`, as everybody makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::Package;
use crate::run;
use crate::workspace::Workspace;
use crate::{demo, plugins};

/// Where the images are made, below the root.
const FOLDER: &str = "target/dist/oci";
/// The annotations for what Cargo.toml and the command line know.
const LICENSES: &str = "org.opencontainers.image.licenses";
const SOURCE: &str = "org.opencontainers.image.source";

/// An image in its folder.
#[derive(Debug, PartialEq, Eq)]
struct Packed {
    name: String,
    /// Its tag: the version of the filter.
    tag: String,
    digest: String,
}

/// What is packed, and what with.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    /// The filter of this name alone.
    pub(crate) only: Option<&'a str>,
    /// Where the source is, if it is to be said.
    pub(crate) source: Option<&'a str>,
    /// The cargo profile of the gateway that packs.
    pub(crate) profile: &'a str,
}

/// Builds the filters, and the gateway that packs them.
pub(crate) fn build(workspace: &Workspace, wish: &Wish<'_>) -> Result<()> {
    published(&workspace.packages, wish.only)?;
    plugins::build(workspace, None, wish.only)?;
    demo::build_programs(workspace, wish.profile)
}

/// Packs what was built.
pub(crate) fn pack(workspace: &Workspace, wish: &Wish<'_>) -> Result<()> {
    let filters = published(&workspace.packages, wish.only)?;
    let folder = workspace.root.join(FOLDER);
    let mut packed = Vec::new();
    for filter in filters {
        let image = folder.join(&filter.name);
        // What another build left there is not pushed with this one.
        match fs::remove_dir_all(&image) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(err).with_context(|| format!("cannot remove {}", image.display()));
            }
            _ => {}
        }
        let mut command = pack_command(workspace, wish, filter, &image);
        let said = run::output(&mut command)?;
        let one = read(&filter.name, said.trim())
            .with_context(|| format!("`{}` printed {said:?}", run::shown(&command)))?;
        println!("dist: {FOLDER}/{}:{} is {}", one.name, one.tag, one.digest);
        packed.push(one);
    }
    if wish.only.is_none() {
        let path = folder.join("README.md");
        fs::write(&path, page(&packed))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("dist: {FOLDER}/README.md says how they are pushed");
    }
    Ok(())
}

fn pack_command(workspace: &Workspace, wish: &Wish<'_>, filter: &Package, image: &Path) -> Command {
    let module: PathBuf = workspace
        .plugins_folder()
        .join(format!("{}.wasm", filter.name));
    let mut pack = Command::new(workspace.program(wish.profile, "tidegate"));
    pack.args(["plugin", "pack"]).arg(module);
    pack.arg("--output").arg(image);
    let said = [(LICENSES, filter.license.as_deref()), (SOURCE, wish.source)];
    for (key, value) in said {
        if let Some(value) = value {
            pack.arg("--annotation").arg(format!("{key}={value}"));
        }
    }
    pack
}

/// The filters that users are to have, or the one of that name.
fn published<'a>(packages: &'a [Package], only: Option<&str>) -> Result<Vec<&'a Package>> {
    let is_ours = |it: &&Package| it.is_filter() && it.folder.starts_with("plugins");
    let all: Vec<&Package> = packages.iter().filter(is_ours).collect();
    let chosen: Vec<&Package> = all
        .iter()
        .copied()
        .filter(|it| only.is_none_or(|name| it.name == name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        bail!(
            "no filter that is published is named {:?}; there are: {}",
            only.unwrap_or_default(),
            names.join(", ")
        );
    }
    Ok(chosen)
}

/// What `FOLDER:TAG@DIGEST` says.
fn read(name: &str, said: &str) -> Result<Packed> {
    let (place, digest) = said.rsplit_once('@').context("it names no digest")?;
    let (_, tag) = place
        .rsplit_once(':')
        .context("the module says no version")?;
    Ok(Packed {
        name: name.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
    })
}

/// The page beside the images.
fn page(packed: &[Packed]) -> String {
    let mut text = format!(
        "# Filters as images\n\n\
         One folder for each filter of Tidegate, an OCI image layout with one image. Made by \
         `cargo xtask dist`; the same source gives the same digests.\n\n\
         Any of these pushes one, from the root of the repository, with `REGISTRY` for yours:\n\n\
         ```sh\n{}```\n\n\
         | filter | version | digest |\n|---|---|---|\n",
        packed.first().map(commands).unwrap_or_default(),
    );
    for Packed { name, tag, digest } in packed {
        text.push_str(&format!("| {name} | {tag} | `{digest}` |\n"));
    }
    text.push_str("\nAll of them:\n\n```sh\n");
    for one in packed {
        text.push_str(&skopeo(one));
    }
    text.push_str("```\n");
    text
}

/// One image, by each of the tools.
fn commands(one: &Packed) -> String {
    let Packed { name, tag, .. } = one;
    let to = format!("REGISTRY/{name}:{tag}");
    format!(
        "{}oras cp --from-oci-layout {FOLDER}/{name}:{tag} {to}\n\
         tidegate plugin push {to} {FOLDER}/{name}\n",
        skopeo(one)
    )
}

fn skopeo(Packed { name, tag, .. }: &Packed) -> String {
    format!(
        "skopeo copy --preserve-digests oci:{FOLDER}/{name}:{tag} docker://REGISTRY/{name}:{tag}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, crate_type: &str) -> Package {
        Package {
            name: name.into(),
            folder: folder.into(),
            license: None,
            crate_types: vec![crate_type.into()],
            dependencies: vec![],
        }
    }

    #[test]
    fn policies_are_published_and_nothing_else() {
        let packages = [
            package("cors", "plugins/cors", "cdylib"),
            package("hello", "examples/hello", "cdylib"),
            package("jwt-auth", "plugins/jwt-auth", "cdylib"),
            package("policy", "plugins/policy", "lib"),
        ];
        let names = |only| {
            let chosen = published(&packages, only)?;
            anyhow::Ok(chosen.iter().map(|it| it.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(names(None).unwrap(), ["cors", "jwt-auth"]);
        assert_eq!(names(Some("cors")).unwrap(), ["cors"]);
        let err = names(Some("hello")).unwrap_err();
        assert_eq!(
            err.to_string(),
            "no filter that is published is named \"hello\"; there are: cors, jwt-auth"
        );
    }

    #[test]
    fn the_page_has_each_image_with_its_digest_and_how_to_push_it() {
        let cors = read("cors", "/repo/target/dist/oci/cors:0.1.0@sha256:aa").unwrap();
        let fault = read("fault", "/r/fault:0.2.0@sha256:bb").unwrap();
        let page = page(&[cors, fault]);
        for part in [
            "| cors | 0.1.0 | `sha256:aa` |",
            "| fault | 0.2.0 | `sha256:bb` |",
            "skopeo copy --preserve-digests oci:target/dist/oci/fault:0.2.0 docker://REGISTRY/fault:0.2.0",
            "oras cp --from-oci-layout target/dist/oci/cors:0.1.0 REGISTRY/cors:0.1.0",
            "tidegate plugin push REGISTRY/cors:0.1.0 target/dist/oci/cors",
        ] {
            assert!(page.contains(part), "{part:?} is not in {page}");
        }
        assert!(read("cors", "no digest").is_err());
        assert!(read("cors", "/no/version@sha256").is_err());
    }
}
