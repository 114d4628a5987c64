//! Compressing text: one gzip member or zstd frame for each committed batch.
//!
//! Members and frames stand alone, so a file can be cut after any commit and grown again, and the
//! bytes of a batch do not depend on when the process before it ended. Readers take them one after
//! another as one stream (RFC 1952, 2.2; RFC 8878, 3).

use std::io::{self, Write};

use dkhost_core::{Error, Result};

use crate::compression::Compression;

/// Appends `content` as one member or frame to `out`; an empty one for no content.
pub fn append(content: &[u8], compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let done = match compression {
        Compression::None => {
            out.extend_from_slice(content);
            Ok(())
        }
        Compression::Gzip => gzip(content, out),
        Compression::Zstd => zstd_frame(content, out),
    };
    done.map_err(|cause| Error::bug("text could not be compressed in memory").caused_by(cause))
}

fn gzip(content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(content)?;
    encoder.finish().map(drop)
}

/// With its checksum, which gzip has anyway: a reader notices a flipped bit.
fn zstd_frame(content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(content.len() as u64))?;
    encoder.write_all(content)?;
    encoder.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn members_and_frames_read_as_one_stream() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut bytes = Vec::new();
            for piece in ["one\n", "", "two\n"] {
                append(piece.as_bytes(), compression, &mut bytes).unwrap();
            }
            let mut text = String::new();
            match compression {
                Compression::None => text = String::from_utf8(bytes).unwrap(),
                Compression::Gzip => {
                    flate2::read::MultiGzDecoder::new(&bytes[..])
                        .read_to_string(&mut text)
                        .unwrap();
                }
                Compression::Zstd => {
                    zstd::stream::read::Decoder::new(&bytes[..])
                        .unwrap()
                        .read_to_string(&mut text)
                        .unwrap();
                }
            }
            assert_eq!(text, "one\ntwo\n", "{compression:?}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        append(&[7; 1000], Compression::Zstd, &mut bytes).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(zstd::stream::decode_all(&bytes[..]).is_err());
    }
}
