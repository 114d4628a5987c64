//! Texts that stand elsewhere: `url = { env = "CRM_URL" }`, `{ file = "…" }`, `{ command = ["…"] }`.
//!
//! Any text of `[source]`, `[target]` and `[state]` may be given this way. It is read once, before
//! the job is looked at; errors point at the place in the job file and never show what was read.

use std::path::Path;
use std::process::{Command, Stdio};

use dkhost_core::{Error, Node, NodeKind, Result};

use dkhost_core::tree::Variables;

const WAYS: &str = "a text is given as \"…\", { env = \"NAME\" }, { file = \"path\" } or { command = [\"program\", \"argument\"] }";

/// What may be read for a job besides its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Files and commands too.
    Everything,
    /// Variables only: a job whose text comes from nobody in particular starts no programs.
    Variables,
}

/// The sections whose texts may be secrets.
const SECTIONS: [&str; 3] = ["source", "target", "state"];

/// Tables of column names, which may be any.
const COLUMNS: [&str; 2] = ["fields", "mapping"];

/// More is no secret, nor an address.
const MAX_BYTES: usize = 64 << 10;

/// Puts texts in the place of what says where they are.
pub(super) fn resolve(
    root: &mut Node,
    base: &Path,
    variables: Variables<'_>,
    reach: Reach,
) -> Result<()> {
    let NodeKind::Table(sections) = &mut root.kind else {
        return Ok(());
    };
    for (section, _, node) in sections {
        let NodeKind::Table(entries) = &mut node.kind else {
            continue;
        };
        if !SECTIONS.contains(&section.as_str()) {
            continue;
        }
        for (key, _, node) in entries.iter_mut() {
            if !COLUMNS.contains(&key.as_str()) {
                fill(key, node, base, variables, reach)?;
            }
        }
    }
    Ok(())
}

/// Puts the text in the place of what says where it is, or into the table `auth`.
fn fill(
    key: &str,
    node: &mut Node,
    base: &Path,
    variables: Variables<'_>,
    reach: Reach,
) -> Result<()> {
    if let Some((way, value)) = elsewhere(node) {
        let text = read(way, value, base, variables, reach).map_err(|error| {
            let error = error.at(node.span.clone(), format!("for `{key}`"));
            error.help_at_least(WAYS)
        })?;
        node.kind = NodeKind::Text(text);
    } else if key == "auth"
        && let NodeKind::Table(entries) = &mut node.kind
    {
        for (key, _, node) in entries {
            fill(key, node, base, variables, reach)?;
        }
    }
    Ok(())
}

/// A table with one of the three keys and no other.
fn elsewhere(node: &Node) -> Option<(&str, &Node)> {
    let NodeKind::Table(entries) = &node.kind else {
        return None;
    };
    match entries.as_slice() {
        [(way, _, value)] if ["env", "file", "command"].contains(&way.as_str()) => {
            Some((way, value))
        }
        _ => None,
    }
}

fn read(
    way: &str,
    value: &Node,
    base: &Path,
    variables: Variables<'_>,
    reach: Reach,
) -> Result<String> {
    match (way, reach) {
        ("env", _) => {
            let name: String = value.parse("env")?;
            variables(&name).ok_or_else(|| {
                Error::config(
                    "job::unset_variable",
                    format!(
                        "the environment variable `{}` is not set",
                        name.escape_debug()
                    ),
                )
                .help(format!(
                    "set it first: {}=… dkhost run …",
                    name.escape_debug()
                ))
            })
        }
        (_, Reach::Variables) => Err(Error::config(
            "job::secret",
            format!("a text by `{way}` is read for job files only"),
        )),
        ("file", _) => from_file(&value.parse::<String>("file")?, base),
        _ => from_command(&value.parse::<Vec<String>>("command")?, base),
    }
}

fn from_file(name: &str, base: &Path) -> Result<String> {
    let path = base.join(name);
    let io = |cause| {
        Error::io("read the text", Path::new(name), cause)
            .with_class(dkhost_core::Class::Config)
            .help_at_least("paths are relative to the job file")
    };
    let meta = std::fs::metadata(&path).map_err(io)?;
    if !meta.is_file() {
        return Err(refused(&format!("`{name}` is no file")));
    }
    if meta.len() > MAX_BYTES as u64 {
        return Err(refused(&format!("`{name}` has {} bytes", meta.len())));
    }
    text(std::fs::read(&path).map_err(io)?, &format!("`{name}`"))
}

fn from_command(words: &[String], base: &Path) -> Result<String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(refused("`command` names no program"));
    };
    let ended = Command::new(program)
        .args(arguments)
        .current_dir(base)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|cause| refused(&format!("`{program}` cannot be started")).caused_by(cause))?;
    match ended.status.success() {
        true => text(ended.stdout, &format!("what `{program}` prints")),
        false => Err(refused(&format!("`{program}` failed: {}", ended.status))),
    }
}

/// The text without the end of its line.
fn text(bytes: Vec<u8>, what: &str) -> Result<String> {
    if bytes.len() > MAX_BYTES {
        return Err(refused(&format!("{what} has {} bytes", bytes.len())));
    }
    let mut text =
        String::from_utf8(bytes).map_err(|_| refused(&format!("{what} is not UTF-8")))?;
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    match text.is_empty() {
        true => Err(refused(&format!("{what} is empty"))),
        false => Ok(text),
    }
}

/// Keys that say who asks, and not what for.
const SECRETS: [&str; 7] = [
    "password",
    "auth",
    "api_key",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "profile",
];

/// A section without what may change and leave the data the same: users and passwords, in keys of
/// their own or in an address (`postgres://user:password@host/crm` becomes `postgres://host/crm`).
pub(super) fn without(section: &mut serde_json::Value) {
    let Some(entries) = section.as_object_mut() else {
        return;
    };
    for key in SECRETS {
        entries.remove(key);
    }
    entries.values_mut().for_each(without_user);
}

/// An address, or each of a list, without who asks.
fn without_user(value: &mut serde_json::Value) {
    let text = match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Array(items) => return items.iter_mut().for_each(without_user),
        _ => return,
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.find(['/', '?']).unwrap_or(rest.len());
        if let Some(at) = rest[..authority].rfind('@') {
            *text = format!("{scheme}://{}", &rest[at + 1..]);
        }
    } else if text.contains("password=") {
        let words = text.split_whitespace();
        let kept =
            words.filter(|word| !word.starts_with("password=") && !word.starts_with("user="));
        *text = kept.collect::<Vec<_>>().join(" ");
    }
}

fn refused(why: &str) -> Error {
    Error::config("job::secret", why.to_owned()).help(WAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(toml: &str, reach: Reach) -> Result<serde_json::Value> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "from a file\n").unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let variables = |name: &str| (name == "SET").then(|| "from the ${SET}".to_owned());
        let mut root = dkhost_core::tree::parse(toml, "job file", &variables)?;
        resolve(&mut root, folder.path(), &variables, reach)?;
        Ok(root.to_json())
    }

    #[test]
    fn a_text_is_read_from_a_variable_a_file_or_a_command() {
        for (table, text) in [
            ("{ env = 'SET' }", "from the ${SET}"),
            ("{ file = 'secret' }", "from a file"),
            (
                "{ command = ['echo', 'from a', 'command'] }",
                "from a command",
            ),
        ] {
            for section in SECTIONS {
                let job = resolved(&format!("[{section}]\nurl = {table}"), Reach::Everything);
                assert_eq!(job.unwrap()[section]["url"], text);
            }
        }
    }

    #[test]
    fn a_login_is_read_text_by_text() {
        let job = resolved(
            "[source]\nauth = { username = 'me', password = { env = 'SET' } }\nmapping = { env = 'SET' }",
            Reach::Everything,
        );
        let source = job.unwrap()["source"].clone();
        assert_eq!(
            source["auth"],
            serde_json::json!({"username": "me", "password": "from the ${SET}"})
        );
        assert_eq!(source["mapping"]["env"], "SET");
    }

    #[test]
    fn users_and_passwords_do_not_tell_jobs_apart() {
        let mut section = serde_json::json!({
            "url": "postgres://me:p@ss@h:1/crm?x=1", "password": "x", "table": "t", "dsn": "host=h user=me password=x dbname=crm",
            "access_key_id": "x", "secret_access_key": "x", "session_token": "x", "profile": "x",
            "auth": {"username": "me", "password": "x"}, "api_key": "x", "nodes": ["http://me:x@a:1", "http://b:1"],
        });
        without(&mut section);
        let left = serde_json::json!({
            "url": "postgres://h:1/crm?x=1", "table": "t", "dsn": "host=h dbname=crm", "nodes": ["http://a:1", "http://b:1"],
        });
        assert_eq!(section, left);
    }

    #[test]
    fn columns_and_other_sections_are_left_alone() {
        let job = resolved(
            "[source]\nfields = { env = 'utf8' }\ncsv = { quote = 'x' }\n[run]\nbatch = { env = 'SET' }",
            Reach::Everything,
        )
        .unwrap();
        assert_eq!(job["source"]["fields"]["env"], "utf8");
        assert_eq!(job["run"]["batch"]["env"], "SET");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_at_its_place() {
        for (table, code) in [
            ("{ env = 'UNSET' }", "job::unset_variable"),
            ("{ env = 5 }", "job::wrong_value"),
            ("{ file = 'nowhere' }", "io::not_found"),
            ("{ file = '.' }", "job::secret"),
            ("{ file = 'empty' }", "job::secret"),
            ("{ command = [] }", "job::secret"),
            ("{ command = ['false'] }", "job::secret"),
            ("{ command = ['no-such-program-here'] }", "job::secret"),
        ] {
            let error =
                resolved(&format!("[source]\nurl = {table}"), Reach::Everything).unwrap_err();
            assert_eq!(
                (error.code(), error.class()),
                (code, dkhost_core::Class::Config),
                "{table}"
            );
            assert!(
                error.place().is_some() && error.help_text().is_some(),
                "{table}"
            );
        }
    }

    #[test]
    fn a_text_that_is_no_file_starts_no_program() {
        let error = resolved(
            "[source]\nurl = { command = ['echo', 'x'] }",
            Reach::Variables,
        );
        assert_eq!(error.unwrap_err().code(), "job::secret");
        assert!(resolved("[source]\nurl = { env = 'SET' }", Reach::Variables).is_ok());
    }
}
