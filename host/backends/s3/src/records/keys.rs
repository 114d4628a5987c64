//! Which keys records have, and which ids can be none.

use dkhost_core::json::RowError;

use crate::source::records::EXTENSION;

/// Bytes of a key at most.
///
/// *Source* – S3 user guide, "Naming objects".
const KEY_MAX_BYTES: usize = 1024;

/// Bytes of a name between two slashes on servers that keep objects as files.
const NAME_MAX_BYTES: usize = 255;

/// The key of the record with this id; `strict` on servers that keep objects as files, where some
/// keys are refused and others mean one and the same object.
///
/// *Errors* – for an id no key can be made of.
pub(crate) fn of(prefix: &str, id: &str, strict: bool) -> Result<String, RowError> {
    let refused = |why: &str| {
        let code = "s3::bad_id";
        Err(RowError::new(
            code,
            format!("no key can be made of the id: {why}"),
        ))
    };
    if id.is_empty() {
        return refused("it is empty");
    }
    if id.contains('\0') {
        return refused("it has a NUL in it");
    }
    let key = format!("{prefix}{id}{EXTENSION}");
    if key.len() > KEY_MAX_BYTES {
        return refused("the key would be longer than 1024 bytes");
    }
    if !strict {
        return Ok(key);
    }
    let name = format!("{id}{EXTENSION}");
    for part in name.split('/') {
        if matches!(part, "" | "." | "..") {
            return refused(
                "it has `//`, `.` or `..` between slashes, which this server may take for another key",
            );
        }
        if part.len() > NAME_MAX_BYTES {
            return refused("it has more than 255 bytes between two slashes");
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_key_without_prefix_and_extension() {
        assert_eq!(of("r/", "ïd/00000 x", true).unwrap(), "r/ïd/00000 x.json");
        assert_eq!(of("", "a+b%c", true).unwrap(), "a+b%c.json");
    }

    #[test]
    fn ids_that_servers_take_for_others_are_refused() {
        for id in ["a//b", "/a", "../a", "a/./b", "", "a\0b"] {
            assert!(of("r/", id, true).is_err(), "{id:?}");
        }
        assert!(of("r/", &"x".repeat(251), true).is_err());
        assert!(of("r/", &"x".repeat(250), true).is_ok());
        // Amazon keeps them apart.
        assert_eq!(of("r/", "a//b", false).unwrap(), "r/a//b.json");
        assert!(of("r/", &"x".repeat(1025), false).is_err());
    }
}
