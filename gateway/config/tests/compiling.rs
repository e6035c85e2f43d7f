//! From files to drafts: one file a subject.

#[path = "compiling/dump.rs"]
mod dump;
#[path = "compiling/fuzz.rs"]
mod fuzz;
#[path = "compiling/golden.rs"]
mod golden;
#[path = "compiling/istio.rs"]
mod istio;
#[path = "compiling/last_good.rs"]
mod last_good;
#[path = "compiling/pages.rs"]
mod pages;
#[path = "compiling/schemas.rs"]
mod schemas;
#[path = "compiling/ten_mistakes.rs"]
mod ten_mistakes;
#[path = "compiling/trust.rs"]
mod trust;
#[path = "compiling/upstream.rs"]
mod upstream;
