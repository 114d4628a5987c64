//! Keys of the contract that this version does not have: refused with a sentence, never ignored.

use dkhost_core::{Error, NodeKind, Options, Result};

/// Refuses each key of `later` that is there and asks for something; `false` asks for nothing.
pub fn refuse(options: &mut Options, later: &[(&str, &str)]) -> Result<()> {
    for (key, sentence) in later {
        match options.take_node(key) {
            None => {}
            Some(node) if node.kind == NodeKind::Boolean(false) => {}
            Some(node) => {
                return Err(Error::config(
                    "job::later",
                    format!("`{key}` is not in this version of dkhost"),
                )
                .at(node.span, "not available yet")
                .help(*sentence));
            }
        }
    }
    Ok(())
}
