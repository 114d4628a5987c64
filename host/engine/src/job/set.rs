//! Values of the command line, put into the tree of a job file.

use dkhost_core::tree::parse;
use dkhost_core::{Error, Node, NodeKind, Result};

/// Parses one value as it stands after `=`; text that is no TOML value stands for itself.
pub fn parse_value(text: &str) -> NodeKind {
    let parsed = parse(&format!("v = {text}"), "value", &|_| None).ok();
    let value = parsed.and_then(|node| match node.kind {
        NodeKind::Table(entries) => entries.into_iter().next().map(|(_, _, value)| value.kind),
        _ => None,
    });
    value.unwrap_or_else(|| NodeKind::Text(text.to_owned()))
}

/// No key of a job lies deeper.
const SET_DEPTH_MAX: usize = 32;

/// Sets `path` (`run.parallel`) to a value, making tables on the way. What is set this way has no
/// place in the file.
pub fn set(root: &mut Node, path: &str, value: NodeKind) -> Result<()> {
    let wrong = |why: &str| {
        let shown: String = path.chars().take(60).collect();
        let more = if shown.len() < path.len() { "…" } else { "" };
        Error::config("job::set", format!("`--set {shown}{more}` {why}"))
            .help("name a section and a key of it: --set run.parallel=4")
    };
    if path.split('.').any(str::is_empty) {
        return Err(wrong("names no key"));
    }
    if path.split('.').count() > SET_DEPTH_MAX {
        return Err(wrong("goes deeper than any key lies"));
    }
    let mut node = root;
    for part in path.split('.') {
        let NodeKind::Table(entries) = &mut node.kind else {
            return Err(wrong("goes through a value that is no table"));
        };
        let index = match entries.iter().position(|(key, ..)| key == part) {
            Some(index) => index,
            None => {
                entries.push((
                    part.to_owned(),
                    0..0,
                    Node::new(NodeKind::Table(Vec::new())),
                ));
                entries.len() - 1
            }
        };
        node = &mut entries[index].2;
    }
    *node = placeless(value);
    Ok(())
}

/// A value whose places are those of another text.
fn placeless(kind: NodeKind) -> Node {
    Node::new(match kind {
        NodeKind::Array(items) => {
            NodeKind::Array(items.into_iter().map(|item| placeless(item.kind)).collect())
        }
        NodeKind::Table(entries) => NodeKind::Table(
            entries
                .into_iter()
                .map(|(key, _, value)| (key, 0..0, placeless(value.kind)))
                .collect(),
        ),
        plain => plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_after_set_is_toml_or_text() {
        assert_eq!(parse_value("4"), NodeKind::Integer(4));
        assert_eq!(parse_value("out.db"), NodeKind::Text("out.db".into()));
        let mut root = parse("[run]\nparallel = 1", "job file", &|_| None).unwrap();
        set(&mut root, "run.parallel", NodeKind::Integer(4)).unwrap();
        set(&mut root, "target.path", NodeKind::Text("x".into())).unwrap();
        assert_eq!(
            root.to_json(),
            serde_json::json!({"run": {"parallel": 4}, "target": {"path": "x"}})
        );
    }
}
