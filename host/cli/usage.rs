//! Command lines that cannot be: what comes later gets a sentence, a misspelt command the nearest.
//!
//! clap finds the mistake and has words for most of them; those it has none for are ours.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use dkhost_core::Error;
use dkhost_core::error::nearest;

use crate::args::{Cli, later};
use crate::error;
use crate::escape::{escape, escape_lines};
use crate::screen::{Paint, complain};

/// The mistake with what was typed made one line, so that it cannot begin lines of its own.
fn on_one_line(wrong: clap::Error) -> clap::Error {
    let typed: Vec<(ContextKind, String)> = wrong
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) if escape(text) != *text => {
                Some((kind, escape(text).into_owned()))
            }
            _ => None,
        })
        .collect();
    typed.into_iter().fold(wrong, |mut wrong, (kind, text)| {
        wrong.insert(kind, ContextValue::String(text));
        wrong
    })
}

/// Prints help and version on stdout, mistakes on stderr; the exit code.
pub fn refuse(wrong: clap::Error) -> i32 {
    let wrong = on_one_line(wrong);
    if let Some(error) = ours(&wrong) {
        complain(error::render(&error, None, Paint::PLAIN));
        return error::exit_code(&error);
    }
    let said = wrong.render().to_string();
    let safe = escape_lines(&said);
    if wrong.use_stderr() && safe != said {
        // What was typed is quoted there; it is shown, not obeyed, and costs the colours.
        complain(safe.trim_end());
        return wrong.exit_code();
    }
    // A closed stdout is no trouble: whoever asked for help has gone.
    let _ = wrong.print();
    wrong.exit_code()
}

fn ours(wrong: &clap::Error) -> Option<Error> {
    let kind = match wrong.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(word)) = wrong.get(kind) else {
        return None;
    };
    if let Some(sentence) = later(word) {
        let message = format!("`{word}` is not in this version of dkhost");
        return Some(Error::config("cli::later", message).help(sentence));
    }
    (kind == ContextKind::InvalidSubcommand).then(|| unknown_command(word))
}

fn unknown_command(word: &str) -> Error {
    let mut command = Cli::command();
    let mut path = "dkhost".to_owned();
    for argument in std::env::args()
        .skip(1)
        .take_while(|argument| argument != word)
    {
        if let Some(inner) = command.find_subcommand(&argument) {
            path = format!("{path} {argument}");
            command = inner.clone();
        }
    }
    let known: Vec<&str> = command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
        .map(Command::get_name)
        .collect();
    let error = Error::config(
        "cli::unknown_command",
        format!("`{path}` has no command `{}`", escape(word)),
    );
    match nearest(word, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{path} {near}`?")),
        None => error.help(format!("there are {}", known.join(", "))),
    }
}
