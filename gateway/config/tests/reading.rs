//! From files to structs and problems: one file a subject.

#[path = "reading/export.rs"]
mod export;
#[path = "reading/files.rs"]
mod files;
#[path = "reading/fuzz.rs"]
mod fuzz;
#[path = "reading/golden.rs"]
mod golden;
#[path = "reading/read.rs"]
mod read;
#[path = "reading/support.rs"]
mod support;
