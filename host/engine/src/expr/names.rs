//! From text to a SQL syntax tree whose names are all known.
//!
//! Columns are matched exactly as the data spells them. An identifier without quotes may differ in
//! case if it can mean only one column; DataFusion, which would lower it, never sees one. What an
//! expression cannot be – a query, something over many records, a placeholder – is refused here,
//! where we still know its place.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr as Sql, Function, Ident, Spanned, Value, visit_expressions_mut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{
    Location, Span as Seen, Token, TokenWithSpan, Tokenizer,
};
use dkhost_core::error::nearest;
use dkhost_core::{Error, Result, Schema};

use super::Scope;
use super::library::{LIBRARY, OVER_RECORDS, TIMES, VOLATILE};
use super::place::Place;

/// Nesting beyond which an expression is refused: nobody writes it by hand, and the planner would
/// run out of stack.
const DEPTH_MAX: usize = 60;

/// Operators and SQL words in one expression: a chain of them nests as deep as it is long, and what
/// works on it later runs out of stack. Lists may have any length.
const OPERATORS_MAX: usize = 400;

/// Words that mean something else when they stand where a column could.
const SQL_WORDS: [&str; 34] = [
    "all", "and", "any", "array", "as", "asc", "between", "by", "case", "cast", "desc", "distinct",
    "else", "end", "exists", "false", "from", "group", "having", "in", "interval", "is", "like",
    "limit", "not", "null", "on", "or", "order", "select", "then", "true", "when", "where",
];

/// Parses `place.text` and resolves every name in it against `input`.
///
/// *Errors* – `expr::syntax`, `plan::unknown_field`, `expr::unknown_function`, `expr::not_a_value`,
/// each pointing at its place in the job file.
pub(crate) fn parse(scope: &Scope, place: Place) -> Result<Sql> {
    resolved(scope, place, read(scope, place)?)
}

/// Parses `place.text`, its names as they were written.
pub(super) fn read(scope: &Scope, place: Place) -> Result<Sql> {
    let reader = &scope.reader;
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, place.text)
        .tokenize_with_location()
        .map_err(|cause| syntax(reader, place, &cause.into()))?;
    refuse_long(&tokens, reader, place)?;
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let sql = parser
        .parse_expr()
        .map_err(|cause| syntax(reader, place, &cause))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(Error::config(
            "expr::syntax",
            format!("{reader} cannot be read beyond `{}`", next.token),
        )
        .at(
            place.seen(next.span),
            "the expression has ended before this",
        )
        .help("one expression without a semicolon; texts stand in single quotes: 'active'"));
    }
    Ok(sql)
}

/// Resolves every name of what was read at `place`.
pub(super) fn resolved(scope: &Scope, place: Place, mut sql: Sql) -> Result<Sql> {
    match visit_expressions_mut(&mut sql, |sql| resolve(scope, place, sql)) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(sql),
    }
}

/// Refuses an expression with more than [`OPERATORS_MAX`] operators.
fn refuse_long(tokens: &[TokenWithSpan], reader: &str, place: Place) -> Result<()> {
    let is_operator = |seen: &&TokenWithSpan| match &seen.token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Comma | Token::LParen | Token::RParen | Token::Whitespace(_) | Token::EOF => false,
        Token::Number(..) | Token::SingleQuotedString(_) => false,
        _ => true,
    };
    let Some(beyond) = tokens.iter().filter(is_operator).nth(OPERATORS_MAX) else {
        return Ok(());
    };
    Err(Error::config(
        "expr::too_long",
        format!("{reader} has more than {OPERATORS_MAX} operators in one expression"),
    )
    .at(place.seen(beyond.span), "one too many")
    .help("compute parts of it in [[steps]] of their own; many values of one column fit a list: id in (1, 2, 3)"))
}

fn resolve(scope: &Scope, place: Place, sql: &mut Sql) -> ControlFlow<Box<Error>> {
    let Scope { reader, input, .. } = scope;
    let seen = sql.span();
    let outcome = match sql {
        Sql::Identifier(name) => column(reader, place, input, name),
        Sql::CompoundIdentifier(parts) => Err(dotted(reader, place, input, parts)),
        Sql::CompoundFieldAccess { access_chain, .. }
            if access_chain
                .iter()
                .any(|access| matches!(access, AccessExpr::Dot(_))) =>
        {
            Err(not_a_value(
                place,
                seen,
                "the `.` of a field inside a value",
            ))
        }
        Sql::Function(function) => known_function(scope, place, function),
        Sql::Subquery(_) | Sql::Exists { .. } | Sql::InSubquery { .. } => {
            Err(not_a_value(place, seen, "a query"))
        }
        Sql::Wildcard(_) | Sql::QualifiedWildcard(..) => Err(not_a_value(place, seen, "`*`")),
        Sql::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
            Err(not_a_value(place, seen, "a placeholder"))
        }
        Sql::Value(value) => exact_number(place, seen, &value.value),
        Sql::Lambda(_) => Err(not_a_value(place, seen, "a lambda")),
        _ => Ok(()),
    };
    match outcome {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

fn column(reader: &str, place: Place, input: &Schema, name: &mut Ident) -> Result<()> {
    let quoted = name.quote_style.is_some();
    let found = match input.field(&name.value) {
        Some(field) => &field.name,
        None if quoted => return Err(unknown_field(reader, place, input, name)),
        None => {
            let mut alike = input
                .names()
                .filter(|n| n.eq_ignore_ascii_case(&name.value));
            match (alike.next(), alike.next()) {
                (Some(only), None) => only,
                (Some(one), Some(other)) => {
                    return Err(Error::config(
                        "plan::ambiguous_field",
                        format!(
                            "{reader} reads field `{}`, which could be `{one}` or `{other}`",
                            name.value
                        ),
                    )
                    .at(place.seen(name.span), "not exactly the name of a column")
                    .help("write the name as the data spells it, in double quotes"));
                }
                _ => return Err(unknown_field(reader, place, input, name)),
            }
        }
    };
    // A quoted name is never taken for a variable or folded to lower case.
    *name = Ident {
        value: found.to_owned(),
        quote_style: Some('"'),
        span: name.span,
    };
    Ok(())
}

fn unknown_field(reader: &str, place: Place, input: &Schema, name: &Ident) -> Error {
    let label = match nearest(&name.value, input.names()) {
        Some(near) => format!("not there; did you mean `{}`?", quoted(near)),
        None if name.quote_style.is_some() => {
            format!(
                "no such field; a text stands in single quotes: '{}'",
                name.value
            )
        }
        None => "no such field".to_owned(),
    };
    missing_field(reader, &name.value, input).at(place.seen(name.span), label)
}

/// The error for a field that is not there, without a place: message and the fields there are.
pub(crate) fn missing_field(reader: &str, name: &str, input: &Schema) -> Error {
    const SHOWN_MAX: usize = 40;
    let mut known: Vec<String> = input
        .data_fields()
        .map(|(_, field)| quoted(&field.name))
        .collect();
    let more = known.len().saturating_sub(SHOWN_MAX);
    known.truncate(SHOWN_MAX);
    let mut known = known.join(", ");
    if more > 0 {
        known.push_str(&format!(" and {more} more"));
    }
    Error::config(
        "plan::unknown_field",
        format!("{reader} reads field `{name}`, which is not there"),
    )
    .help(format!("the fields at this step: {known}"))
}

/// A column's name as an expression spells it.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !SQL_WORDS.contains(&name.to_lowercase().as_str());
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn dotted(reader: &str, place: Place, input: &Schema, parts: &[Ident]) -> Error {
    let joined = parts
        .iter()
        .map(|part| part.value.as_str())
        .collect::<Vec<_>>()
        .join(".");
    let span = Seen::union_iter(parts.iter().map(|part| part.span));
    let error = missing_field(reader, &joined, input);
    if input.field(&joined).is_some() {
        return error.at(
            place.seen(span),
            format!("write \"{joined}\", in double quotes"),
        );
    }
    error.at(
        place.seen(span),
        "a `.` is not part of a name outside of double quotes",
    )
}

fn known_function(scope: &Scope, place: Place, function: &Function) -> Result<()> {
    let seen = function.name.span();
    let name = function.name.to_string();
    let lower = name.trim_matches('"').to_lowercase();
    if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
        return Err(not_a_value(place, seen, "a window over records"));
    }
    if OVER_RECORDS.contains(&lower.as_str()) {
        return Err(not_a_value(
            place,
            seen,
            &format!("`{lower}`, which needs many records,"),
        ));
    }
    if VOLATILE.contains(&lower.as_str()) {
        return Err(Error::config(
            "expr::volatile",
            format!("`{lower}()` gives another value each time a batch is repeated"),
        )
        .at(
            place.seen(seen),
            "a resumed run would not end in the same state",
        )
        .help("build the value from the record's own fields, for example with concat"));
    }
    if scope.now.is_none() && TIMES.contains(&lower.as_str()) {
        return Err(Error::config(
            "expr::no_time",
            format!("`{lower}` has no value in {}", scope.reader),
        )
        .at(place.seen(seen), "not possible here"));
    }
    if LIBRARY.function(&lower).is_some() {
        return Ok(());
    }
    let label = match nearest(&lower, LIBRARY.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "no such function".to_owned(),
    };
    Err(Error::config("expr::unknown_function", format!("there is no function `{lower}`"))
        .at(place.seen(seen), label)
        .help("the scalar functions of DataFusion are known: https://datafusion.apache.org/user-guide/sql/scalar_functions.html"))
}

/// DataFusion reads a whole number beyond 64 bits as a float, and one beyond that as infinity.
fn exact_number(place: Place, seen: Seen, value: &Value) -> Result<()> {
    let Value::Number(text, _) = value else {
        return Ok(());
    };
    let is_whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let is_read_exactly = match is_whole {
        true => text.replace('_', "").parse::<u64>().is_ok(),
        false => text.parse::<f64>().is_ok_and(f64::is_finite),
    };
    match is_read_exactly {
        true => Ok(()),
        false => Err(
            Error::config("expr::number", format!("the number {text} is out of range"))
                .at(place.seen(seen), "beyond 64 bits")
                .help(format!(
                    "write it as a decimal: cast('{text}' as decimal(38, 0))"
                )),
        ),
    }
}

fn not_a_value(place: Place, seen: Seen, what: &str) -> Error {
    Error::config(
        "expr::not_a_value",
        format!("an expression sees one record at a time; {what} cannot be in it"),
    )
    .at(place.seen(seen), "not possible here")
    .help("only columns, literals, operators and scalar functions")
}

fn syntax(reader: &str, place: Place, cause: &ParserError) -> Error {
    let text = match cause {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "nested too deeply",
    };
    let (text, at) = located(text);
    let span = match at.and_then(|at| place.offset(at)) {
        Some(offset) => place.of(offset.min(place.text.len().saturating_sub(1))..offset + 1),
        None => place.span.clone(),
    };
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    let text = text
        .replace("found: EOF", "found the end")
        .replace("EOF", "the end");
    let text = text.trim_end_matches('.');
    let mut text = text
        .replace("found: ", "found ")
        .replace("Expected: ", "expected ");
    if let Some(first) = text.chars().next().filter(char::is_ascii_uppercase) {
        text.replace_range(..1, &first.to_ascii_lowercase().to_string());
    }
    Error::config("expr::syntax", format!("{reader} cannot be read: {text}"))
        .at(span, "here")
        .help("an expression is SQL: texts in single quotes, names with spaces or SQL words in double quotes")
}

/// Splits ` at Line: 1, Column: 5` off a parser's message.
fn located(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let Some((line, column)) = place.split_once(", Column: ") else {
        return (text, None);
    };
    match (line.parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (message, Some(Location { line, column })),
        _ => (text, None),
    }
}
