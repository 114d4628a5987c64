//! The line of a job file an error points at, drawn by miette.
//!
//! miette draws; which line, which column and what of it is safe to show is decided here. Places
//! are byte offsets into the file, so hostile characters are replaced by others of their length.

use std::fmt;

use dkhost_core::{Error, Span};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use crate::escape::{escape, mask};
use crate::screen::Paint;

/// The place of an error in the job file, if it has one: cut to one line, because a section's place
/// is the whole section.
pub fn place<'a>(error: &'a Error, text: &str) -> Option<(Span, &'a str)> {
    let (span, label) = error.place()?;
    if span.start == 0 && span.end == 0 || span.start > text.len() {
        return None;
    }
    let start = (0..=span.start)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let line_end = text[start..]
        .find('\n')
        .map_or(text.len(), |length| start + length);
    let end = span.end.clamp(start, line_end);
    let end = (end..=line_end)
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(line_end);
    Some((start..end, label))
}

/// Line and column of a byte offset, both from 1; columns are characters.
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let column = text[line_start(text, at)..at].chars().count();
    (before.matches('\n').count() + 1, column + 1)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..]
        .find('\n')
        .map_or(text.len(), |length| at + length)
}

/// Bytes of a line shown before the place and behind its beginning; a line may have megabytes.
const SHOWN_BEFORE: usize = 60;
const SHOWN_BEHIND: usize = 120;

/// The line of `span` with the label under it; of a long line, what is around the place.
pub fn snippet(name: &str, text: &str, span: Span, label: &str, paint: Paint) -> Option<String> {
    let label = if label.is_empty() { "here" } else { label };
    let drawn = Snippet::new(name, text, span, label);
    let theme = match paint.is_on() {
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(100);
    let mut report = String::new();
    handler.render_report(&mut report, &drawn).ok()?;
    // The report begins with the message, which is empty here: the snippet starts at its frame, and
    // the line that closes the frame says nothing.
    let lines: Vec<&str> = report
        .lines()
        .skip_while(|line| !line.contains('╭'))
        .map(str::trim_end)
        .filter(|line| {
            !line.is_empty() && !line.contains("╰──── ") && !line.trim_start().ends_with("╰────")
        })
        .collect();
    Some(lines.join("\n"))
}

/// What miette is shown: (a part of) one line and a place in it, no words of its own.
#[derive(Debug)]
struct Snippet {
    label: LabeledSpan,
    name: String,
    shown: String,
    /// Of the place, both from 0.
    line: usize,
    column: usize,
}

impl Snippet {
    fn new(name: &str, text: &str, span: Span, label: &str) -> Snippet {
        let (line, column) = line_and_column(text, span.start);
        let whole = line_start(text, span.start)..line_end(text, span.start);
        let boundary = |at: usize| (at..=whole.end).find(|at| text.is_char_boundary(*at));
        let start = match span.start - whole.start {
            near if near <= SHOWN_BEFORE => whole.start,
            _ => boundary(span.start - SHOWN_BEFORE).unwrap_or(span.start),
        };
        let end = match whole.end - span.start {
            near if near <= SHOWN_BEHIND => whole.end,
            _ => boundary(span.start + SHOWN_BEHIND).unwrap_or(whole.end),
        };
        let before = if start > whole.start { "…" } else { "" };
        let behind = if end < whole.end { "…" } else { "" };
        let line_shown = without_passwords(&text[whole.clone()]);
        let part = line_shown[start - whole.start..end - whole.start].trim_end_matches('\r');
        let from = before.len() + span.start - start;
        let length = span.end.min(start + part.len()).saturating_sub(span.start);
        Snippet {
            label: LabeledSpan::new(Some(escape(label).into_owned()), from, length),
            name: escape(name).into_owned(),
            shown: format!("{before}{}{behind}", mask(part)),
            line: line - 1,
            column: column - 1,
        }
    }
}

/// A line of the same length with stars in the place of passwords: those of addresses
/// (`postgres://user:password@host`), and what stands behind `password =`.
fn without_passwords(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    let ends = |byte: &u8| matches!(byte, b'"' | b'\'' | b' ' | b'\t');
    for (start, _) in line.match_indices("://") {
        let start = start + 3;
        let rest = &line.as_bytes()[start..];
        let address = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        let at = address.iter().rposition(|byte| *byte == b'@').unwrap_or(0);
        if let Some(colon) = address[..at].iter().position(|byte| *byte == b':') {
            bytes[start + colon + 1..start + at].fill(b'*');
        }
    }
    let words = ["password", "secret_access_key", "session_token", "api_key"];
    for (start, word) in words.iter().flat_map(|word| line.match_indices(word)) {
        let mut from = start + word.len();
        let rest = line[from..].trim_start();
        if !rest.starts_with('=') {
            continue;
        }
        from = line.len() - rest[1..].trim_start_matches([' ', '\t', '"', '\'']).len();
        let value = &line.as_bytes()[from..];
        let length = value.iter().position(ends).unwrap_or(value.len());
        if !value.starts_with(b"{") {
            bytes[from..from + length].fill(b'*');
        }
    }
    // Whole characters were replaced: those of a password lie between ASCII ones.
    String::from_utf8(bytes).unwrap_or_default()
}

impl SourceCode for Snippet {
    /// The line, whatever context is asked for; without context the place itself, from which
    /// miette takes line and column.
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            self.shown.as_bytes(),
            (0, self.shown.len()).into(),
            self.line,
            if before == 0 { self.column } else { 0 },
            1,
        )))
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Snippet {}

impl Diagnostic for Snippet {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn a_password_is_never_shown() {
        for (line, shown) in [
            (
                "url = \"postgres://me:s3cr€t@h:5432/crm\"",
                "url = \"postgres://me:********@h:5432/crm\"",
            ),
            (
                "url = 'postgres://me:p@ss/w@h/crm' # https://x",
                "url = 'postgres://me:******@h/crm' # https://x",
            ),
            (
                "url = \"host=h user=me password=s3cret dbname=crm\"",
                "url = \"host=h user=me password=****** dbname=crm\"",
            ),
            ("password = \"s3cret\"", "password = \"******\""),
            (
                "secret_access_key = \"s3/cr+t\"",
                "secret_access_key = \"*******\"",
            ),
            ("session_token='s3cret'", "session_token='******'"),
            ("api_key = \"s3cret==\"", "api_key = \"********\""),
            (
                "auth = { username = \"me\", password = \"s3cret\" }",
                "auth = { username = \"me\", password = \"******\" }",
            ),
            ("password = { env = \"PW\" }", "password = { env = \"PW\" }"),
            (
                "url = \"postgres://me@h:5432/crm\"",
                "url = \"postgres://me@h:5432/crm\"",
            ),
            (
                "help = \"a password is needed\"",
                "help = \"a password is needed\"",
            ),
        ] {
            let hidden = without_passwords(line);
            assert_eq!(hidden.len(), line.len());
            assert_eq!(hidden, shown);
        }
    }
}
