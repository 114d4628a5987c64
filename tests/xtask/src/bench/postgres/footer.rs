//! How many rows a Parquet file says it holds: enough of its footer, in Thrift's compact protocol,
//! to reach that number. It keeps the chores free of Arrow, which takes minutes to compile.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::shell::Outcome;

/// The number of rows of a Parquet file.
///
/// No more than the footer is read: what this process has once held in memory, the kernel counts
/// for the programs it starts.
pub fn rows(path: &Path) -> Outcome<u64> {
    let footer =
        footer(path).map_err(|cause| format!("cannot read {}: {cause}", path.display()))?;
    let rows = footer.as_deref().and_then(rows_of);
    rows.ok_or_else(|| format!("{} is no Parquet file", path.display()))
}

/// The footer; `None` if this is no Parquet file.
fn footer(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size < 12 {
        return Ok(None);
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let length = u32::from_le_bytes([a, b, c, d]);
    if &magic != b"PAR1" || u64::from(length) > size - 8 {
        return Ok(None);
    }
    file.seek(SeekFrom::End(-8 - i64::from(length)))?;
    let mut footer = vec![0; length as usize];
    file.read_exact(&mut footer)?;
    Ok(Some(footer))
}

fn rows_of(footer: &[u8]) -> Option<u64> {
    let mut footer = Compact(footer);
    // version (1), schema (2), num_rows (3)
    let mut id = 0;
    loop {
        let (kind, field) = footer.field(id)?;
        id = field;
        if id == 3 {
            return u64::try_from(footer.number()?).ok();
        }
        footer.skip(kind)?;
    }
}

/// What is left to be read.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Type and id of the next field of a structure; `None` at its end.
    fn field(&mut self, before: i64) -> Option<(u8, i64)> {
        match self.byte()? {
            0 => None,
            short if short >> 4 != 0 => Some((short & 15, before + i64::from(short >> 4))),
            long => Some((long, self.number()?)),
        }
    }

    fn skip(&mut self, kind: u8) -> Option<()> {
        match kind {
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.unsigned().map(drop),
            7 => self.take(8),
            8 => {
                let size = self.unsigned()?;
                self.take(usize::try_from(size).ok()?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.unsigned()?,
                    few => u64::from(few),
                };
                // In a list a boolean takes a byte.
                let kind = if matches!(head & 15, 1 | 2) {
                    3
                } else {
                    head & 15
                };
                (0..count).try_for_each(|_| self.skip(kind))
            }
            12 => loop {
                if self.0.first() == Some(&0) {
                    return self.byte().map(drop);
                }
                let (kind, _) = self.field(0)?;
                self.skip(kind)?;
            },
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{rows, rows_of};

    #[test]
    fn the_rows_of_a_footer_are_read_past_its_schema() {
        // version 1; a schema of two structures (name, and a boolean beside it); 500,000 rows
        let footer = [
            0x15, 0x02, 0x19, 0x2c, 0x48, 0x01, b'a', 0x00, 0x48, 0x01, b'b', 0x11, 0x00, 0x16,
            0xc0, 0x84, 0x3d, 0x00,
        ];
        assert_eq!(rows_of(&footer), Some(500_000));
        assert_eq!(rows_of(&footer[..9]), None);
        let name = format!("bench-footer-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let size = (footer.len() as u32).to_le_bytes();
        let file = [b"PAR1", footer.as_slice(), &size, b"PAR1"].concat();
        std::fs::write(&path, &file).unwrap();
        assert_eq!(rows(&path), Ok(500_000));
        std::fs::write(&path, &file[..file.len() - 1]).unwrap();
        assert!(rows(&path).unwrap_err().ends_with("is no Parquet file"));
        std::fs::remove_file(path).unwrap();
    }
}
