//! The flags of `tidegate plugin push|pack|pull|inspect|lock`, for those who publish and use filters.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cli::CheckFormat;
use crate::cli::MeshArgs;
use crate::cli::RegistryArgs;

/// With what a registry is asked, in place of what docker and podman would ask with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Credentials")]
pub(crate) struct LoginArgs {
    /// User for the registry; needs --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) username: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username")]
    pub(crate) password_file: Option<PathBuf>,
    /// File with a token that the registry takes as it is
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What an image of a module is like.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// How the image is made
    #[arg(long, value_name = "FORMAT", default_value = "compat")]
    pub(crate) format: ImageFormat,
    /// What is said about it, such as org.opencontainers.image.source=URL (repeatable)
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = annotation)]
    pub(crate) annotations: Vec<(String, String)>,
    /// Take what is no filter that this tidegate could run all the same
    #[arg(long)]
    pub(crate) force: bool,
}

/// `tidegate plugin push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Where to: registry/name:tag
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// The module; or a folder with an image (OCI image layout), which is pushed as it is
    #[arg(value_name = "FILE|FOLDER")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

/// `tidegate plugin pack`.
#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// The module
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Folder for the image (OCI image layout); an image that is there is replaced
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// Name of the image in the folder; by default the version that the module says it has
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
}

/// How an image is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageFormat {
    /// As all gateways take it: a layer with plugin.wasm
    Compat,
    /// As the CNCF's tools take it: the module is the layer
    Cncf,
}

/// `tidegate plugin pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// What: registry/name:tag, perhaps with @sha256:…
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Where the module is written, or - for standard output; by default NAME.wasm here
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

/// `tidegate plugin inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// What: a reference, or a file
    #[arg(value_name = "REF|FILE")]
    pub(crate) what: String,
    /// How the report is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CheckFormat,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

/// `tidegate plugin lock`.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// File, or folder of .yaml, .yml and .json files
    #[arg(short, long, value_name = "PATH")]
    pub(crate) config: PathBuf,
    /// Also replace the digests of images that have a tag beside theirs
    #[arg(long)]
    pub(crate) update: bool,
    /// Say what would be written, and write nothing; exit code 1 if there is anything
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
