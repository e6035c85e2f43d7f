//! The flags of `tidegate plugin history`, `rollback` and of the orders about rollouts.

use std::path::PathBuf;

use clap::Args;

use crate::admin::AdminAddress;
use crate::cli::CheckFormat;

/// Which gateway is meant.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The admin API of the gateway: an address, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000")]
    pub(crate) admin: AdminAddress,
    /// File with the token that the admin API asks for
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
}

/// `tidegate plugin history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The Plugin: NAME of the namespace default, or NAMESPACE/NAME; with @canary behind it, its canary
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CheckFormat,
}

/// `tidegate plugin rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The Plugin: NAME of the namespace default, or NAMESPACE/NAME
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Which version, in place of the one before: its number, or at least 8 digits of its digest
    #[arg(long, value_name = "VERSION", conflicts_with = "resume")]
    pub(crate) to: Option<String>,
    /// Serve what the resource asks for again
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `tidegate plugin promote`, `abort`, `hold` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct RolloutArgs {
    /// The Plugin: NAME of the namespace default, or NAMESPACE/NAME
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}
