//! From a layer to the module in it.
//!
//! Owns what may be inside of what: a module, or a tar archive with one, each of them compressed or
//! not. All of it is a stream; what comes out is bounded, whatever it was compressed to.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;

use flate2::read::MultiGzDecoder;

use crate::layout::MODULE_NAME;
use crate::layout::sniff;
use crate::layout::sniff::Kind;
use crate::layout::tar::Archive;
use crate::layout::tar::Member;
use crate::layout::tar::What;
use crate::layout::why::WhyNot;
use crate::layout::zstd::Zstd;

/// Most names that an error lists.
const MOST_NAMES: usize = 5;
/// How files are deleted that lower layers have.
const WHITEOUT: &str = ".wh.";
/// How all files of a folder are.
const OPAQUE: &str = ".wh..wh..opq";

/// Where the module goes. What was written may be taken back.
pub(crate) trait Output: Write {
    /// Forgets what was written so far.
    fn restart(&mut self) -> io::Result<()>;
}

/// Where the module was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its path in an archive; `None` if the layer is the module.
    pub(crate) path: Option<String>,
}

/// Why there is no module.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The layer has none.
    None(WhyNot),
    /// The module cannot be written where it belongs.
    Write(io::Error),
}

/// Finds the module in a layer, and writes it. At most `limit` bytes come out of anything.
pub(crate) fn unpack(
    layer: impl Read,
    out: &mut dyn Output,
    limit: u64,
) -> Result<Place, UnpackError> {
    let (kind, layer) = peek(layer)?;
    match kind {
        Kind::Gzip => inner(MultiGzDecoder::new(io::BufReader::new(layer)), out, limit),
        Kind::Zstd => inner(Zstd::new(layer), out, limit),
        kind => plain(kind, layer, out, limit),
    }
}

fn inner(layer: impl Read, out: &mut dyn Output, limit: u64) -> Result<Place, UnpackError> {
    let (kind, layer) = peek(Bounded {
        from: layer,
        left: limit,
        limit,
    })?;
    match kind {
        Kind::Gzip | Kind::Zstd => Err(UnpackError::None(WhyNot::Twice)),
        kind => plain(kind, layer, out, limit),
    }
}

fn plain(
    kind: Kind,
    mut layer: impl Read,
    out: &mut dyn Output,
    limit: u64,
) -> Result<Place, UnpackError> {
    match kind {
        Kind::Module => {
            copy(&mut layer, out, limit)?;
            Ok(Place { path: None })
        }
        Kind::Tar => from_tar(layer, out, limit),
        kind => Err(UnpackError::None(WhyNot::Is(kind))),
    }
}

/// How much a path says that it is the module; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Any name that ends in `.wasm`.
    Wasm,
    /// `plugin.wasm` in some folder.
    Named,
    /// `plugin.wasm` at the top.
    Top,
}

/// What was found in an archive so far.
#[derive(Debug, Default)]
struct Found {
    best: Option<(Rank, String, Kind)>,
    /// Others of the same rank.
    others: Vec<String>,
    unusable: Option<(Rank, WhyNot)>,
    names: Vec<String>,
    is_deleted: bool,
}

fn from_tar(layer: impl Read, out: &mut dyn Output, limit: u64) -> Result<Place, UnpackError> {
    let mut archive = Archive::new(layer);
    let mut found = Found::default();
    while let Some(member) = archive.next().map_err(unreadable)? {
        let path = normal(&member.path);
        if member.is == What::File && found.names.len() < MOST_NAMES {
            found.names.push(crate::quote::plain(&path));
        }
        let Some(rank) = found.rank(&path) else {
            continue;
        };
        if let Some(reason) = unusable(&member, &path) {
            found.refuse(rank, &path, reason);
            continue;
        }
        match found.compare(rank, &path) {
            Compared::Better => {
                out.restart().map_err(UnpackError::Write)?;
                let (kind, content) = peek(&mut archive)?;
                copy(content, out, limit)?;
                found.best = Some((rank, path, kind));
                found.others.clear();
            }
            Compared::AsGood => found.others.push(path),
            Compared::Worse => {}
        }
    }
    found.verdict()
}

enum Compared {
    Better,
    AsGood,
    Worse,
}

impl Found {
    fn rank(&mut self, path: &str) -> Option<Rank> {
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            self.is_deleted |= name == OPAQUE || deleted.ends_with(".wasm");
            return None;
        }
        match name {
            MODULE_NAME if path == MODULE_NAME => Some(Rank::Top),
            MODULE_NAME => Some(Rank::Named),
            name if name.ends_with(".wasm") => Some(Rank::Wasm),
            _ => None,
        }
    }

    fn compare(&self, rank: Rank, path: &str) -> Compared {
        match &self.best {
            None => Compared::Better,
            // A file that is there twice is the last of both.
            Some((best, known, _)) if *best == rank && known == path => Compared::Better,
            Some((best, _, _)) if *best == rank => Compared::AsGood,
            Some((best, _, _)) if *best < rank => Compared::Better,
            Some(_) => Compared::Worse,
        }
    }

    fn refuse(&mut self, rank: Rank, path: &str, reason: &'static str) {
        if self.unusable.as_ref().is_none_or(|(best, _)| *best < rank) {
            let path = crate::quote::short(path);
            self.unusable = Some((rank, WhyNot::Unusable { path, reason }));
        }
    }

    fn verdict(self) -> Result<Place, UnpackError> {
        let none = |why| Err(UnpackError::None(why));
        // One that says more, and cannot be used, must not be passed over for another.
        if let Some((rank, why)) = self.unusable
            && self.best.as_ref().is_none_or(|(best, _, _)| *best < rank)
        {
            return none(why);
        }
        match self.best {
            Some((_, path, _)) if !self.others.is_empty() => {
                let mut names = vec![path];
                names.extend(self.others.into_iter().take(MOST_NAMES - 1));
                none(WhyNot::Several(names))
            }
            Some((_, path, Kind::Module)) => Ok(Place { path: Some(path) }),
            Some((_, path, kind)) => none(WhyNot::FileIs {
                path: crate::quote::short(&path),
                kind,
            }),
            None if self.is_deleted => none(WhyNot::Deleted),
            None => none(WhyNot::NoFile(self.names)),
        }
    }
}

fn unusable(member: &Member, path: &str) -> Option<&'static str> {
    match member.is {
        What::Link => Some("it is a link, and links are not followed"),
        What::Sparse => Some("it is stored with holes, which is not supported"),
        What::Other => Some("it is not a file"),
        What::File if path.split('/').any(|part| part == "..") => {
            Some("its path leaves the archive")
        }
        What::File => None,
    }
}

/// The path without `./`, `//` and a `/` in front.
fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// What something is, and all of it.
fn peek<R: Read>(mut from: R) -> Result<(Kind, impl Read), UnpackError> {
    let mut head = Vec::with_capacity(sniff::ENOUGH);
    (&mut from)
        .take(sniff::ENOUGH as u64)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    let kind = Kind::of(&head);
    Ok((kind, io::Cursor::new(head).chain(from)))
}

fn copy(mut from: impl Read, to: &mut dyn Output, limit: u64) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    let mut copied = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(unreadable(err)),
        };
        copied += read as u64;
        if copied > limit {
            return Err(UnpackError::None(WhyNot::TooLarge { limit }));
        }
        let piece = buffer.get(..read).unwrap_or_default();
        to.write_all(piece).map_err(UnpackError::Write)?;
    }
}

/// A reader that ends with an error where too much comes.
struct Bounded<R> {
    from: R,
    left: u64,
    limit: u64,
}

/// The error with which it ends.
#[derive(Debug)]
struct TooMuch(u64);

impl std::error::Error for TooMuch {}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} bytes come out of it", self.0)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.left = match self.left.checked_sub(read as u64) {
            Some(left) => left,
            None => return Err(io::Error::other(TooMuch(self.limit))),
        };
        Ok(read)
    }
}

fn unreadable(err: io::Error) -> UnpackError {
    let too_much = err.get_ref().and_then(|it| it.downcast_ref::<TooMuch>());
    UnpackError::None(match too_much {
        Some(TooMuch(limit)) => WhyNot::TooLarge { limit: *limit },
        None => WhyNot::Damaged(crate::quote::plain(&err.to_string())),
    })
}

#[cfg(test)]
mod tests;
