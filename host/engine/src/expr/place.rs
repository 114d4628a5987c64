//! Where in the job file a part of an expression stands.

use std::ops::Range;

use datafusion_sql::sqlparser::tokenizer;
use dkhost_core::Span;

/// An expression's text and the place of its value in the job file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) text: &'a str,
    pub(crate) span: &'a Span,
}

impl Place<'_> {
    /// The place of bytes `part` of the text. A value written without escapes is its text between
    /// two quotes; with escapes the whole value is as near as we get.
    pub(crate) fn of(&self, part: Range<usize>) -> Span {
        let quote = match self.span.len().checked_sub(self.text.len()) {
            Some(2) => 1,
            Some(0) => 0,
            _ => return self.span.clone(),
        };
        let start = self.span.start + quote;
        start + part.start..start + part.end.max(part.start + 1).min(self.text.len().max(1))
    }

    /// The place of something the SQL parser has seen.
    pub(crate) fn seen(&self, seen: tokenizer::Span) -> Span {
        match (self.offset(seen.start), self.offset(seen.end)) {
            (Some(start), Some(end)) if start < end => self.of(start..end),
            _ => self.span.clone(),
        }
    }

    /// Byte offset of a line and column, both counted in characters from 1.
    pub(crate) fn offset(&self, at: tokenizer::Location) -> Option<usize> {
        let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
        let start: usize = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let rest = self.text.get(start..)?;
        let within = rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |(offset, _)| offset);
        Some(start + within)
    }
}
