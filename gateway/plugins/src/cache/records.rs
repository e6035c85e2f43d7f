//! What images came to, which image a tag was last, and the signatures of images.
//!
//! Owns three kinds of small files. A record that cannot be read, or is about something else, is as if
//! it were not there: it is written again at the next pull.

use std::io::Write as _;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::cache::CacheError;
use crate::cache::unfinished::Placed;
use crate::cache::unfinished::Unfinished;
use crate::digest::Digest;
use crate::folder::Folder;
use crate::reference::Reference;
use crate::signatures::Evidence;

/// Most bytes of a record.
const MAX_RECORD: u64 = 64 << 10;
/// The same of one with signatures.
const MAX_SIGNATURES: u64 = 1 << 20;
/// Most records of each kind.
const MOST_RECORDS: usize = 4096;
/// What their names end with.
const SUFFIX: &str = ".json";

/// What an image came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// What was asked for: a manifest or an index.
    pub digest: Digest,
    /// The manifest: the same, or the one chosen from the index.
    pub manifest: Digest,
    /// What the registry says that the manifest is.
    #[serde(default)]
    pub media_type: String,
    /// The module.
    pub module: Digest,
    /// The layer in which it was; the first is 1.
    pub layer: usize,
    /// Its path there, if the layer is an archive.
    #[serde(default)]
    pub path: Option<String>,
}

/// Which image a tag was, when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    /// The reference, with its tag.
    pub reference: String,
    /// What it led to.
    pub digest: Digest,
    /// When that was found out, in seconds of Unix time; a look that finds the same does not count.
    pub checked_at: u64,
}

/// The signatures that were found of an image.
#[derive(Debug, Serialize, Deserialize)]
struct SignatureRecord {
    /// Registry and path.
    repository: String,
    digest: Digest,
    evidence: Vec<Evidence>,
}

impl Cache {
    /// What an image came to, if its content was pulled before.
    #[must_use]
    pub fn image(&self, digest: Digest) -> Option<ImageRecord> {
        let record: ImageRecord = read(&self.images, &file_name(digest), MAX_RECORD)?;
        (record.digest == digest).then_some(record)
    }

    /// Which image a tag was last.
    #[must_use]
    pub fn tag(&self, reference: &Reference) -> Option<TagRecord> {
        let text = reference.to_string();
        let record: TagRecord = read(
            &self.tags,
            &file_name(Digest::of(text.as_bytes())),
            MAX_RECORD,
        )?;
        (record.reference == text).then_some(record)
    }

    /// The images that came to a module.
    pub(crate) fn images_with(&self, module: Digest) -> Result<Vec<ImageRecord>, CacheError> {
        let entries = self.images.entries()?;
        let records = entries.iter().filter(|it| it.name.ends_with(SUFFIX));
        let records = records.filter_map(|it| {
            let record: ImageRecord = read(&self.images, &it.name, MAX_RECORD)?;
            (record.module == module && it.name == file_name(record.digest)).then_some(record)
        });
        Ok(records.collect())
    }

    /// The signatures that were found of an image of a repository. Nothing is known of them but that they
    /// were found: they have to be checked.
    pub(crate) fn signatures(&self, repository: &str, digest: Digest) -> Vec<Evidence> {
        let name = file_name(signatures_of(repository, digest));
        let record: Option<SignatureRecord> = read(&self.signatures, &name, MAX_SIGNATURES);
        let record = record.filter(|it| it.repository == repository && it.digest == digest);
        let mut evidence = record.map_or_else(Vec::new, |record| record.evidence);
        // What older versions kept, of whatever repository; nobody adds to it.
        let older: Option<Vec<Evidence>> =
            read(&self.signatures, &file_name(digest), MAX_SIGNATURES);
        for one in older.unwrap_or_default() {
            if !evidence.contains(&one) {
                evidence.push(one);
            }
        }
        evidence
    }

    /// Remembers the signatures that were found of an image of a repository, in place of those before.
    /// Those of other repositories stay: who may push to one has no say about another.
    pub(crate) fn keep_signatures(
        &self,
        repository: &str,
        digest: Digest,
        evidence: Vec<Evidence>,
    ) -> Result<Placed, CacheError> {
        let name = file_name(signatures_of(repository, digest));
        let record = SignatureRecord {
            repository: repository.to_owned(),
            digest,
            evidence,
        };
        write(&self.signatures, &name, &record)
    }

    /// Remembers what an image came to.
    ///
    /// # Errors
    ///
    /// [`CacheError`]; what was remembered before stays.
    pub fn keep_image(&self, record: &ImageRecord) -> Result<Placed, CacheError> {
        write(&self.images, &file_name(record.digest), record)
    }

    /// Remembers which image a tag is.
    ///
    /// # Errors
    ///
    /// [`CacheError`]; what was remembered before stays.
    pub fn keep_tag(&self, record: &TagRecord) -> Result<Placed, CacheError> {
        let name = file_name(Digest::of(record.reference.as_bytes()));
        write(&self.tags, &name, record)
    }
}

/// What the signatures of an image are kept under.
fn signatures_of(repository: &str, digest: Digest) -> Digest {
    Digest::of(format!("{repository}@{digest}").as_bytes())
}

fn file_name(digest: Digest) -> String {
    format!("{}{SUFFIX}", digest.to_hex())
}

fn read<T: DeserializeOwned>(folder: &Folder, name: &str, limit: u64) -> Option<T> {
    let file = folder.find_or_remove(name).ok()??;
    let text = folder.read(&file, name, limit).ok()??;
    let Ok(record) = serde_json::from_slice(&text) else {
        folder.remove(name);
        return None;
    };
    folder.touch(name);
    Some(record)
}

fn write<T: Serialize + ?Sized>(
    folder: &Folder,
    name: &str,
    record: &T,
) -> Result<Placed, CacheError> {
    let mut file = Unfinished::new(folder)?;
    let text = serde_json::to_vec(record).map_err(std::io::Error::other);
    let written = text.and_then(|text| file.write_all(&text));
    written.map_err(|err| file.failed(err))?;
    // Before it takes the place of the one before: that is not lost with it.
    file.sync()?;
    let placed = file.place(name)?;
    forget_oldest(folder);
    Ok(placed)
}

fn forget_oldest(folder: &Folder) {
    let Ok(mut entries) = folder.entries() else {
        return;
    };
    entries.retain(|entry| entry.name.ends_with(SUFFIX));
    let Some(too_many) = entries.len().checked_sub(MOST_RECORDS) else {
        return;
    };
    entries.sort_by_key(|entry| entry.modified);
    for entry in entries.iter().take(too_many) {
        folder.remove(&entry.name);
    }
}
