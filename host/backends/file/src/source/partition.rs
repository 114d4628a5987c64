//! The slices of a source: one per file, several of a large file that can be read from the middle,
//! or one of many small files.
//!
//! Lines can (a newline ends a record whatever came before), and so can row groups. A JSON text, a
//! compressed file and quoted cells can not.

use std::io::Read;

use dkhost_core::{Error, Partition, Result};
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::files::SourceFile;
use crate::compression::Compression;
use crate::format::Format;

/// A slice of lines is worth a partition of its own from this size on.
const SLICE_MIN_BYTES: u64 = 32 << 20;

/// From this many files on, small ones that follow one another share a partition: each has a
/// checkpoint of its own to keep.
const MANY_FILES: usize = 256;

/// Partitions of many files for each that is read at once: where some take longer, others go on.
const PARTS_EACH: usize = 16;

/// What of which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// How the job names the file.
    pub file: String,
    /// First byte of lines, or first row group.
    #[serde(default)]
    pub from: u64,
    /// Byte after the last line, or the row group after the last; to the end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The last of several files that are read whole, one after another; `file` is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Slice {
    /// All of one file.
    pub fn whole(label: &str) -> Self {
        Slice {
            file: label.to_owned(),
            from: 0,
            to: None,
            last: None,
        }
    }

    /// Reads what [`plan`] wrote.
    pub fn of(partition: &Partition) -> Result<Self> {
        Slice::deserialize(&partition.slice).map_err(|cause| {
            Error::state(
                "file::bad_partition",
                format!("partition `{}` is none of a file source", partition.label),
            )
            .help("start anew with `dkhost run JOB --no-resume`")
            .caused_by(cause)
        })
    }
}

/// The slices of some files, about `wanted` of them.
pub fn plan(
    files: &[SourceFile],
    columns: Option<&Columns>,
    wanted: usize,
) -> Result<Vec<Partition>> {
    let each = wanted.div_ceil(files.len()) as u64;
    let mut partitions = Vec::new();
    let mut passed = 0;
    for (i, file) in files.iter().enumerate() {
        if i < passed {
            continue;
        }
        let together = together(&files[i..], files.len(), wanted);
        if let [first, .., last] = together {
            passed = i + together.len();
            let slice = Slice {
                last: Some(last.label().to_owned()),
                ..Slice::whole(first.label())
            };
            let label = format!("{} and {} more", first.label(), together.len() - 1);
            partitions.push(partition(partitions.len(), slice, label)?);
            continue;
        }
        let bounds = match columns {
            Some(columns) => even(columns.groups(i), each),
            None if file.format == Format::Jsonl && file.compression == Compression::None => {
                lines(file, each.min(file.identity.size / SLICE_MIN_BYTES))?
            }
            None => Vec::new(),
        };
        let what = if columns.is_some() {
            "row groups"
        } else {
            "bytes"
        };
        for (slice, label) in slices(file, &bounds, what) {
            partitions.push(partition(partitions.len(), slice, label)?);
        }
    }
    Ok(partitions)
}

fn partition(index: usize, slice: Slice, label: String) -> Result<Partition> {
    let slice = serde_json::to_value(slice)
        .map_err(|cause| Error::bug("a partition could not be written").caused_by(cause))?;
    Ok(Partition {
        index: index as u32,
        label,
        slice,
    })
}

/// The first of these files that are read together: of `all` ones, the small ones where there are
/// many.
fn together(files: &[SourceFile], all: usize, wanted: usize) -> &[SourceFile] {
    if all < MANY_FILES {
        return &files[..1];
    }
    let most = all.div_ceil(PARTS_EACH * wanted.max(1));
    let mut bytes = 0;
    let fits = |file: &&SourceFile| {
        bytes += file.identity.size;
        bytes <= SLICE_MIN_BYTES
    };
    let count = files.iter().take(most).take_while(fits).count();
    &files[..count.max(1)]
}

/// The slices between `bounds`.
fn slices(file: &SourceFile, bounds: &[u64], what: &str) -> Vec<(Slice, String)> {
    let mut starts = vec![0];
    starts.extend(bounds);
    let slice = |(i, from): (usize, &u64)| {
        let to = starts.get(i + 1).copied();
        let label = match (starts.len(), to) {
            (1, _) => file.label().to_owned(),
            (_, Some(to)) => format!("{} {what} {from} to {}", file.label(), to - 1),
            (_, None) => format!("{} {what} from {from}", file.label()),
        };
        (
            Slice {
                file: file.label().to_owned(),
                from: *from,
                to,
                last: None,
            },
            label,
        )
    };
    starts.iter().enumerate().map(slice).collect()
}

/// Where `parts` even slices of `count` things begin, the first left out.
fn even(count: u64, parts: u64) -> Vec<u64> {
    let parts = parts.min(count).max(1);
    (1..parts).map(|part| part * count / parts).collect()
}

/// Where `parts` slices of lines begin, the first left out: each after the newline that follows its
/// even share.
fn lines(file: &SourceFile, parts: u64) -> Result<Vec<u64>> {
    let io = |cause| Error::io("read", file.label(), cause);
    let size = file.identity.size;
    let mut bounds = Vec::new();
    if parts < 2 {
        return Ok(bounds);
    }
    let (handle, _) = file.open()?;
    for even in even(size, parts) {
        let mut reader = handle
            .reader(even)
            .map_err(|cause| cause.downcast::<Error>().unwrap_or_else(io))?;
        let mut at = even;
        let mut buffer = [0; 64 << 10];
        let start = loop {
            let read = reader.read(&mut buffer);
            let read = read.map_err(|cause| cause.downcast::<Error>().unwrap_or_else(io))?;
            match memchr::memchr(b'\n', &buffer[..read]) {
                Some(newline) => break at + newline as u64 + 1,
                None if read == 0 => break size,
                None => at += read as u64,
            }
        };
        if start < size && bounds.last().is_none_or(|last| *last < start) {
            bounds.push(start);
        }
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn file(content: &str) -> (tempfile::TempDir, SourceFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, content).unwrap();
        let (_, identity) = Identity::open(&path, "x.jsonl").unwrap();
        (
            dir,
            SourceFile {
                path,
                format: Format::Jsonl,
                compression: Compression::None,
                identity,
                store: None,
            },
        )
    }

    #[test]
    fn lines_are_sliced_after_a_newline() {
        let content: String = (0..100).map(|i| format!("{{\"n\":{i}}}\n")).collect();
        let (_dir, file) = file(&content);
        for parts in 2..20 {
            let bounds = lines(&file, parts).unwrap();
            assert_eq!(bounds.len() as u64, parts - 1);
            for bound in bounds {
                assert_eq!(
                    &content[bound as usize - 1..=bound as usize],
                    "\n{",
                    "{parts}"
                );
            }
        }
    }

    #[test]
    fn one_long_line_is_one_slice() {
        let (_dir, file) = file(&"x".repeat(100));
        assert_eq!(lines(&file, 4).unwrap(), [0u64; 0]);
    }

    #[test]
    fn slices_cover_the_file() {
        let (_dir, file) = file("");
        let labels: Vec<_> = slices(&file, &[10, 20], "bytes")
            .into_iter()
            .map(|(_, label)| label)
            .collect();
        assert_eq!(
            labels,
            [
                "x.jsonl bytes 0 to 9",
                "x.jsonl bytes 10 to 19",
                "x.jsonl bytes from 20"
            ]
        );
    }
}
