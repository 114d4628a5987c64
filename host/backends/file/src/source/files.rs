//! Which files a path means: one file, the files of a folder, or those a glob matches.
//!
//! The list is made once, when the source is opened, and frozen by the partitions. Files come in
//! the order of their names, so that it is the same list every time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result};

use crate::compression::Compression;
use crate::format::{self, Format};
use crate::handle::Handle;
use crate::identity::Identity;
use crate::options::{FileOptions, Layout};
use crate::sink;
use crate::store::Store;

/// One file of a source.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// How it is compressed, as its first bytes confirm.
    pub compression: Compression,
    /// Which file it is; `identity.file` is how the job names it.
    pub identity: Identity,
    /// Where it lies, if not on this machine's disk.
    pub store: Option<Arc<dyn Store>>,
}

impl SourceFile {
    /// How the job names it.
    pub fn label(&self) -> &str {
        &self.identity.file
    }

    /// Opens it, and says which file it is now: the one that was found.
    ///
    /// *Errors* – `source::changed`.
    pub fn open(&self) -> Result<(Handle, Identity)> {
        if let Some(store) = &self.store {
            let handle = Handle::elsewhere(store.clone(), self.identity.clone());
            return Ok((handle, self.identity.clone()));
        }
        let (file, now) = Identity::open(&self.path, self.label())?;
        self.identity.verify(&now)?;
        Ok((Handle::disk(file), now))
    }
}

/// Files that are said to be read soon, while one is opened.
const SOON: usize = 16;

/// Tells the store of file `index`, which is opened now, that those after it follow, and which bytes
/// of each are read first. The first file alone says nothing about the others: often it is enough.
pub fn expect_after(files: &[SourceFile], index: usize, which: fn(&Identity) -> (u64, u64)) {
    let Some(store) = files.get(index).and_then(|file| file.store.as_ref()) else {
        return;
    };
    if index == 0 {
        return;
    }
    let soon = files.iter().skip(index + 1).take(SOON);
    let soon: Vec<_> = soon
        .map(|file| {
            let (from, to) = which(&file.identity);
            (&file.identity, from, to)
        })
        .collect();
    store.expect(&soon);
}

/// The files that the option `path` means, all of one format.
///
/// *Errors* – `file::not_found`, `file::no_files`, `file::unknown_format`, `file::mixed_formats`,
/// `file::wrong_compression`, `file::wrong_format`.
pub fn find(options: &FileOptions, base: &Path) -> Result<Vec<SourceFile>> {
    let labels = labels(options, base)?;
    let files = labels
        .iter()
        .map(|label| look_at(options, base, label))
        .collect::<Result<Vec<_>>>()?;
    expect_one_format(options, &files)?;
    Ok(files)
}

fn expect_one_format(options: &FileOptions, files: &[SourceFile]) -> Result<()> {
    let Some(first) = files.first() else {
        return Err(no_files(options, "no file"));
    };
    if let Some(other) = files.iter().find(|file| file.format != first.format) {
        return Err(Error::config(
            "file::mixed_formats",
            format!(
                "`{}` is {} and `{}` is {}",
                first.label(),
                first.format,
                other.label(),
                other.format
            ),
        )
        .at(options.path_span.clone(), "more than one format")
        .help("a source has one format: name the files with a glob, `folder/*.jsonl`"));
    }
    Ok(())
}

/// The files of a store, of which these were found, all of one format; of the first ones it is
/// looked whether they are what their names say.
///
/// *Errors* – as [`find`].
pub fn of_store(
    options: &FileOptions,
    store: &Arc<dyn Store>,
    found: Vec<Identity>,
) -> Result<Vec<SourceFile>> {
    let mut files: Vec<SourceFile> = Vec::with_capacity(found.len());
    for identity in found {
        let path = PathBuf::from(&identity.file);
        let (format, compression) = options.format_of(&path)?;
        files.push(SourceFile {
            path,
            format,
            compression,
            identity,
            store: Some(store.clone()),
        });
    }
    expect_one_format(options, &files)?;
    let looked_at = files.len().min(LOOKED_AT);
    for index in 0..looked_at {
        expect_after(&files[..looked_at], index, head_bytes);
        files[index].compression = look_into(options, store, &files[index])?;
    }
    Ok(files)
}

/// How many files of a store are looked at before they are read: each look is a request.
const LOOKED_AT: usize = 16;

/// Bytes at a file's start that tell what it is.
const HEAD_BYTES: u64 = 8;

fn head_bytes(file: &Identity) -> (u64, u64) {
    (0, file.size.min(HEAD_BYTES))
}

fn look_into(
    options: &FileOptions,
    store: &Arc<dyn Store>,
    file: &SourceFile,
) -> Result<Compression> {
    let io = |cause: std::io::Error| {
        cause
            .downcast::<Error>()
            .unwrap_or_else(|cause| Error::io("read", file.label(), cause))
    };
    let mut head = Vec::new();
    let (from, to) = head_bytes(&file.identity);
    if to > from {
        let reader = store.read(&file.identity, from, to)?;
        reader.take(to).read_to_end(&mut head).map_err(io)?;
    }
    let (head, label) = (&head[..], file.label());
    let compression = check_compression(options, label, head, file.format, file.compression)?;
    if compression == Compression::None {
        check_format(options, label, head, file.format)?;
    }
    Ok(compression)
}

fn labels(options: &FileOptions, base: &Path) -> Result<Vec<String>> {
    let path = base.join(&options.path);
    if path.is_dir() {
        return in_folder(options, &path);
    }
    // A file may have a star in its name; what is there goes before what it could mean.
    if !path.exists() && options.path.contains(['*', '?', '[']) {
        return matching(options, base);
    }
    if !path.exists() {
        return Err(not_found(options, &path));
    }
    Ok(vec![options.path.clone()])
}

fn in_folder(options: &FileOptions, folder: &Path) -> Result<Vec<String>> {
    let io = |cause| Error::io("list", &options.path, cause).at_least(options.path_span.clone());
    let mut labels = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Manifests, markers and temporary files begin like this by convention.
        let hidden = name.starts_with(['.', '_']);
        let known = options.format.is_some() || format::from_name(Path::new(&name)).0.is_some();
        if !hidden && known && entry.path().is_file() {
            labels.push(format!("{}/{name}", options.path.trim_end_matches('/')));
        }
    }
    if labels.is_empty() {
        return Err(no_files(options, "no file of a known format"));
    }
    labels.sort();
    Ok(labels)
}

fn matching(options: &FileOptions, base: &Path) -> Result<Vec<String>> {
    let pattern = Path::new(&glob::Pattern::escape(&base.to_string_lossy())).join(&options.path);
    // Hidden files are temporary ones, of ours too.
    let hidden_left_out = glob::MatchOptions {
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let found = glob::glob_with(&pattern.to_string_lossy(), hidden_left_out);
    let found = found.map_err(|cause| {
        Error::config(
            "file::bad_glob",
            format!("`{}` is no glob: {}", options.path, cause.msg),
        )
        .at(options.path_span.clone(), "not a glob")
    })?;
    let mut labels = Vec::new();
    for path in found {
        let path = path.map_err(|cause| {
            let folder = cause.path().to_path_buf();
            Error::io("list", folder, cause.into())
        })?;
        if path.is_file() {
            let label = if Path::new(&options.path).is_absolute() {
                &path
            } else {
                path.strip_prefix(base).unwrap_or(&path)
            };
            labels.push(label.to_string_lossy().into_owned());
        }
    }
    if labels.is_empty() {
        return Err(no_files(options, "no file"));
    }
    labels.sort();
    Ok(labels)
}

fn no_files(options: &FileOptions, what: &str) -> Error {
    Error::config(
        "file::no_files",
        format!("there is {what} in `{}`", options.path),
    )
    .at(options.path_span.clone(), "matches nothing")
    .help(format!("known extensions: {}", format::EXTENSIONS))
}

fn not_found(options: &FileOptions, path: &Path) -> Error {
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let beside: Vec<String> = path
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .map(|entries| {
            entries
                .flatten()
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    let label = match nearest(&wanted, beside.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "not there".to_owned(),
    };
    let help = match sink::moved_aside(path) {
        Some(aside) => format!(
            "a run that was to replace it was interrupted where folders cannot be swapped: mv '{}' '{}', and run its job again",
            aside.display(),
            path.display()
        ),
        None => "relative paths start at the folder of the job file".to_owned(),
    };
    Error::config(
        "file::not_found",
        format!("there is no file `{}`", options.path),
    )
    .at(options.path_span.clone(), label)
    .help(help)
}

/// Opens a file to see that it is what its name or the job says.
fn look_at(options: &FileOptions, base: &Path, label: &str) -> Result<SourceFile> {
    let path = base.join(label);
    let (format, compression) = options.format_of(Path::new(label))?;
    let (mut file, identity) =
        Identity::open(&path, label).map_err(|e| e.at_least(options.path_span.clone()))?;
    let mut head = [0; 8];
    let read = rewind(&mut file).and_then(|()| read_some(&mut file, &mut head));
    let read = read.map_err(|cause| Error::io("read", label, cause))?;
    let head = &head[..read];
    let compression = check_compression(options, label, head, format, compression)?;
    if compression == Compression::None {
        check_format(options, label, head, format)?;
    }
    Ok(SourceFile {
        path,
        format,
        compression,
        identity,
        store: None,
    })
}

fn rewind(file: &mut std::fs::File) -> std::io::Result<()> {
    std::io::Seek::rewind(file)
}

fn read_some(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            bytes => read += bytes,
        }
    }
    Ok(read)
}

fn check_compression(
    options: &FileOptions,
    label: &str,
    head: &[u8],
    format: Format,
    said: Compression,
) -> Result<Compression> {
    if format.is_binary() {
        if said != Compression::None {
            return Err(Error::config("file::not_for_format", format!("`{label}`: a {format} source is not compressed as a whole"))
                .at(options.compression_span.clone(), "means nothing for this format")
                .help(format!("{format} says inside how it is compressed: leave `compression` out, or unpack a file in {said} first")));
        }
        return Ok(Compression::None);
    }
    let found = Compression::from_magic(head);
    if found == said {
        return Ok(found);
    }
    // dataknobs-data names files `.json.gz` and `.csv.gz` without compressing them.
    if options.layout == Layout::Dataknobs && found == Compression::None {
        return Ok(Compression::None);
    }
    let is = |compression| match compression {
        Compression::None => "not compressed".to_owned(),
        other => format!("compressed with {other}"),
    };
    let what = if head.is_empty() {
        "empty".to_owned()
    } else {
        is(found)
    };
    Err(Error::config(
        "file::wrong_compression",
        format!("`{label}` should be {}, and is {what}", is(said)),
    )
    .at(
        options.compression_span.clone(),
        "its first bytes say otherwise",
    )
    .help(format!(
        "add `compression = \"{found}\"`, or correct the file's name"
    )))
}

fn check_format(options: &FileOptions, label: &str, head: &[u8], said: Format) -> Result<()> {
    let found = match head {
        [b'P', b'A', b'R', b'1', ..] => Some(Format::Parquet),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Format::Arrow),
        // The old Feather format, before it was Arrow.
        [b'F', b'E', b'A', b'1', ..] => None,
        // A stream of Arrow has no name at its start, only a length.
        _ if said == Format::Arrow && head.first() == Some(&0xff) => Some(Format::Arrow),
        _ if said.is_binary() => None,
        _ => Some(said),
    };
    if found == Some(said) {
        return Ok(());
    }
    let help = match found {
        Some(found) => format!(
            "it begins like {found}: add `format = \"{}\"`, or correct the file's name",
            found.word()
        ),
        None => "was it written completely? `format` says which format a file has".to_owned(),
    };
    Err(
        Error::config("file::wrong_format", format!("`{label}` is not {said}"))
            .at(options.format_span.clone(), "its first bytes say otherwise")
            .help(help),
    )
}
