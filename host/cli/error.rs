//! One way from an error to what people and programs see.
//!
//! People get `error[code]: message`, the place in the job file drawn by miette, the causes, and
//! the next thing to type; programs get one JSON object and the exit code. Everything that came
//! from outside is escaped here.

use std::path::Path;

use dkhost_core::{Class, Error};
use dkhost_engine::job::read_job_file;
use serde_json::{Value, json};

use crate::escape::{escape, escape_lines};
use crate::screen::Paint;
use crate::snippet::{line_and_column, place, snippet};

/// The exit code of an error that ended the program.
pub fn exit_code(error: &Error) -> i32 {
    error.class().exit_code()
}

/// An error for people, lines without a break at the end.
///
/// *Shape* – `job` is the file that places point into, unless the error names another; it is read
/// again for the snippet.
pub fn render(error: &Error, job: Option<&Path>, paint: Paint) -> String {
    let word = if error.class() == Class::Stopped {
        "stopped"
    } else {
        "error"
    };
    let head = format!("{word}[{}]", error.code());
    let head = if error.class() == Class::Stopped {
        paint.yellow(&head)
    } else {
        paint.red(&head)
    };
    let mut text = format!("{}: {}", paint.bold(&head), on_one_line(&error.to_string()));
    match error
        .file()
        .or(job)
        .and_then(|file| drawn(error, file, paint))
    {
        Some(snippet) => text.push_str(&format!("\n{snippet}")),
        // Without a line to draw it under (`--set`), the label still says what was meant.
        None => {
            if let Some((_, label)) = error
                .place()
                .filter(|(_, label)| !label.is_empty() && *label != "here")
            {
                text.push_str(&format!("; {}", on_one_line(label)));
            }
        }
    }
    for cause in causes(error) {
        text.push_str(&format!(
            "\n  {} {}",
            paint.dim("cause:"),
            said(error, &cause, 9)
        ));
    }
    if let Some(help) = error.help_text() {
        text.push_str(&format!(
            "\n  {} {}",
            paint.cyan("help:"),
            said(error, help, 8)
        ));
    }
    text
}

/// An error for programs.
pub fn object(error: &Error, job: Option<&Path>) -> Value {
    let mut object = json!({
        "event": "error",
        "code": error.code(),
        "message": error.to_string(),
        "exit_code": exit_code(error),
    });
    let causes = causes(error);
    if !causes.is_empty() {
        object["causes"] = json!(causes);
    }
    if let Some(help) = error.help_text() {
        object["help"] = json!(help);
    }
    let file = error.file().or(job);
    if let Some((line, column)) = file.and_then(|file| position(error, file)) {
        object["file"] = json!(file.map(|file| file.display().to_string()));
        object["line"] = json!(line);
        object["column"] = json!(column);
    }
    object
}

/// The causes, outermost first, those that only repeat the one before left out.
fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut before = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !text.is_empty() && !before.contains(&text) {
            causes.push(text.clone());
            before = text;
        }
        next = cause.source();
    }
    causes
}

/// What was said besides the message, as one line: a line break in it comes from outside and would
/// make one of ours. Only a compiler's words keep their lines, indented.
fn said(error: &Error, text: &str, by: usize) -> String {
    if error.code() != "plugin::build" {
        return on_one_line(text.trim_end());
    }
    escape_lines(text.trim_end()).replace('\n', &format!("\n{}", " ".repeat(by)))
}

/// Characters of one sentence that are shown: what is quoted in it may have megabytes.
const SHOWN_MAX: usize = 1_000;

fn on_one_line(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text).into_owned(),
    }
}

/// The job file's text, if it still is one: it was read before the error was made.
fn read(job: &Path) -> Option<String> {
    let bytes = read_job_file(job).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Line and column of the error in the job file, if it has a place there.
fn position(error: &Error, job: &Path) -> Option<(usize, usize)> {
    let text = read(job)?;
    let (span, _) = place(error, &text)?;
    Some(line_and_column(&text, span.start))
}

/// The line of the job file the error points at.
fn drawn(error: &Error, job: &Path, paint: Paint) -> Option<String> {
    let text = read(job)?;
    let (span, label) = place(error, &text)?;
    snippet(&job.display().to_string(), &text, span, label, paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(job: &str, error: Error, expected: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        std::fs::write(&path, job).unwrap();
        let shown = render(&error, Some(&path), Paint::PLAIN);
        expected.assert_eq(&shown.replace(&*path.to_string_lossy(), "job.toml"));
    }

    #[test]
    fn an_error_points_into_the_job_file() {
        check(
            "name = \"x\"\n[[steps]]\nset = { email = \"lower(emial)\" }\n",
            Error::config(
                "plan::unknown_field",
                "stage `clean` reads field `emial`, which `customers` does not have",
            )
            .at(38..43, "not in the source; did you mean `email`?")
            .help("the source offers: id, name, email"),
            expect![[r#"
                error[plan::unknown_field]: stage `clean` reads field `emial`, which `customers` does not have
                   ╭─[job.toml:3:18]
                 3 │ set = { email = "lower(emial)" }
                   ·                  ──┬──
                   ·                    ╰── not in the source; did you mean `email`?
                  help: the source offers: id, name, email"#]],
        );
    }

    #[test]
    fn a_cause_is_shown_once_and_makes_no_lines_of_its_own() {
        let inner = Error::infrastructure("x", "no route\nerror[fake]: to host");
        check(
            "",
            Error::infrastructure("db::lost", "lost the connection")
                .help("check the network\nthen run again")
                .caused_by(inner),
            expect![[r#"
                error[db::lost]: lost the connection
                  cause: no route\nerror[fake]: to host
                  help: check the network\nthen run again"#]],
        );
    }

    #[test]
    fn a_compilers_words_keep_their_lines() {
        let said = std::io::Error::other("error: no\n  --> here");
        check(
            "",
            Error::config("plugin::build", "it does not compile").caused_by(said),
            expect![[r#"
                error[plugin::build]: it does not compile
                  cause: error: no
                           --> here"#]],
        );
    }

    #[test]
    fn of_a_line_of_megabytes_the_place_is_shown() {
        let job = format!("name = \"{}ö{}\"\r\n", "x".repeat(200), "y".repeat(1 << 20));
        check(
            &job,
            Error::config("job::name", "too long").at(209..400, "this"),
            expect![[r#"
                error[job::name]: too long
                   ╭─[job.toml:1:209]
                 1 │ …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxöyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
                   ·                                                              ───────────────────────────────────────────────────────────┬───────────────────────────────────────────────────────────
                   ·                                                                                                                         ╰── this"#]],
        );
    }

    #[test]
    fn hostile_text_is_shown_not_obeyed() {
        check(
            "name = \"a\u{202e}\x1bb\"\n",
            Error::config("job::name", "`\x1b[2J` cannot be the name of a job")
                .at(7..15, "\x1b[31m"),
            expect![[r#"
                error[job::name]: `\u{1b}[2J` cannot be the name of a job
                   ╭─[job.toml:1:8]
                 1 │ name = "a�?b"
                   ·        ───┬──
                   ·           ╰── \u{1b}[31m"#]],
        );
    }

    #[test]
    fn a_place_beyond_the_file_or_inside_a_character_is_no_panic() {
        for span in [0..0, 3..900, 900..901, 1..2, 2..2] {
            let error = Error::config("job::x", "y").at(span, "z");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("job.toml");
            std::fs::write(&path, "öö\nx").unwrap();
            assert!(render(&error, Some(&path), Paint::PLAIN).starts_with("error[job::x]: y"));
            assert_eq!(object(&error, Some(&path))["code"], "job::x");
        }
    }
}
