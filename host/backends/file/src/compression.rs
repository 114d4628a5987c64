//! gzip and zstd around a file: what the name says is checked against the first bytes, and a
//! stream that is cut off or followed by something else is an error with its place, never the
//! silent end of the records.

use std::fmt;
use std::io::{self, BufReader, Read};

use dkhost_core::Error;

/// How a whole file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one member or several.
    Gzip,
    /// zstd, one frame or several.
    Zstd,
}

impl Compression {
    /// The words of the option `compression`.
    pub const WORDS: &'static [&'static str] = &["gzip", "zstd", "none"];

    /// The compression of a word of the option `compression`.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Compression::None,
            "gzip" => Compression::Gzip,
            "zstd" => Compression::Zstd,
            _ => return None,
        })
    }

    /// The word of the option `compression`.
    pub fn word(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }

    /// The compression an extension says: `gz`, `zst`, `zstd`.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "gz" => Compression::Gzip,
            "zst" | "zstd" => Compression::Zstd,
            _ => return None,
        })
    }

    /// The compression the first bytes of a file show.
    ///
    /// *Source* – RFC 1952 (2.3.1), RFC 8878 (3.1: frames, skippable frames).
    pub fn from_magic(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// Bytes asked of the operating system at once.
const READ_BYTES: usize = 1 << 20;

/// Decodes a stream that is compressed this way: all members of gzip, all frames of zstd.
///
/// *Errors* – of the reader it returns: `UnexpectedEof` when the stream is cut off; any other
/// without an operating system's code when it is corrupt or something else follows it
/// ([`trouble`] tells them apart).
pub fn decode(
    source: impl Read + Send + 'static,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    let buffered = |source| BufReader::with_capacity(READ_BYTES, source);
    Ok(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(source))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(source))?),
    })
}

/// The error for a read that failed after `compressed` bytes of the file and `decoded` bytes of
/// its content.
pub fn trouble(
    cause: io::Error,
    label: &str,
    compression: Compression,
    compressed: u64,
    decoded: u64,
) -> Error {
    if compression == Compression::None || cause.raw_os_error().is_some() {
        return Error::io("read", label, cause);
    }
    // The only words zstd has for a window beyond its limit of 128 MiB.
    if cause.to_string().contains("too much memory") {
        return Error::data(
            "file::window_too_large",
            format!("`{label}` was packed by {compression} with a window of more than 128 MiB (near byte {compressed})"),
        )
        .help("pack it again with a smaller one: zstd -d --long=31 FILE, then zstd --long=27 FILE")
        .caused_by(cause);
    }
    let what = match cause.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("is cut off, or something else follows its {compression} stream")
        }
        _ => format!("is not intact {compression}, or something else follows its end"),
    };
    Error::data("file::corrupt", format!("`{label}` {what} (near byte {compressed}, after {decoded} bytes of content)"))
        .help("nothing after this place was read; make the file again, or unpack it by hand to see what is left")
        .caused_by(cause)
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 1).unwrap()
    }

    fn read(bytes: Vec<u8>, compression: Compression) -> Result<String, String> {
        let mut text = String::new();
        let mut reader = decode(Cursor::new(bytes), compression).map_err(|e| e.to_string())?;
        match reader.read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(cause) => Err(trouble(cause, "x", compression, 0, text.len() as u64).to_string()),
        }
    }

    #[test]
    fn all_members_and_frames_are_read() {
        assert_eq!(
            read(
                [gzip(b"one"), gzip(b""), gzip(b"two")].concat(),
                Compression::Gzip
            )
            .unwrap(),
            "onetwo"
        );
        assert_eq!(
            read(
                [zstd(b"one"), zstd(b""), zstd(b"two")].concat(),
                Compression::Zstd
            )
            .unwrap(),
            "onetwo"
        );
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error() {
        for (compression, whole) in [
            (
                Compression::Gzip,
                [gzip(b"some content"), gzip(b"and more")].concat(),
            ),
            (
                Compression::Zstd,
                [zstd(b"some content"), zstd(b"and more")].concat(),
            ),
        ] {
            let first = match compression {
                Compression::Gzip => gzip(b"some content").len(),
                _ => zstd(b"some content").len(),
            };
            for cut in (0..whole.len()).filter(|cut| *cut != first) {
                assert!(
                    read(whole[..cut].to_vec(), compression).is_err(),
                    "{compression} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_an_error() {
        for (compression, mut whole) in [
            (Compression::Gzip, gzip(b"content")),
            (Compression::Zstd, zstd(b"content")),
        ] {
            whole.extend_from_slice(b"trailing");
            assert!(
                read(whole, compression)
                    .unwrap_err()
                    .contains("something else follows"),
                "{compression}"
            );
        }
    }

    #[test]
    fn the_first_bytes_tell_the_compression() {
        assert_eq!(Compression::from_magic(&gzip(b"")), Compression::Gzip);
        assert_eq!(Compression::from_magic(&zstd(b"")), Compression::Zstd);
        assert_eq!(Compression::from_magic(b"{}"), Compression::None);
        assert_eq!(Compression::from_magic(b""), Compression::None);
    }
}
