//! The vocabulary of `apply`: what each verb takes, and what it compiles to.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, cast, lit, when};
use dkhost_core::error::nearest;
use dkhost_core::{
    Error, LogicalType, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span,
};

use super::chain::Builder;
use super::link::Link;
use super::timestamp::Formats;
use super::{literal, pattern};
use crate::expr::call;
use crate::expr::convert::refusal;

/// A verb of `apply`.
#[derive(Debug, Clone, Copy)]
pub struct ApplyVerb {
    /// The verb: `lowercase`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Its arguments.
    pub arguments: &'static [OptionSpec],
    /// The argument that may be written alone: `{ truncate = 10 }`.
    pub alone: Option<&'static str>,
}

const fn plain(name: &'static str, help: &'static str) -> ApplyVerb {
    ApplyVerb {
        name,
        help,
        arguments: &[],
        alone: None,
    }
}

const fn argument(
    name: &'static str,
    ty: OptionType,
    required: bool,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        ty,
        required,
        help,
    }
}

/// The vocabulary of `apply`, for help and JSON Schema.
pub const APPLY_VERBS: &[ApplyVerb] = &[
    plain("lowercase", "text in lower case"),
    plain("uppercase", "text in upper case"),
    plain(
        "title",
        "text with each word's first letter in upper case and the others in lower case",
    ),
    plain(
        "trim",
        "text without white space at both ends, of any kind Unicode knows",
    ),
    ApplyVerb {
        name: "default",
        help: "a value for records that have none",
        arguments: &[argument(
            "value",
            OptionType::Any,
            true,
            "the value, of the column's type",
        )],
        alone: Some("value"),
    },
    ApplyVerb {
        name: "type_cast",
        help: "another type, exactly; a value that cannot be of it is refused or becomes the default",
        arguments: &[
            argument(
                "to",
                OptionType::Text,
                true,
                "the type: utf8, int64, decimal(10, 2), …",
            ),
            argument(
                "default",
                OptionType::Any,
                false,
                "what a value becomes that cannot be cast; a null stays null",
            ),
        ],
        alone: Some("to"),
    },
    ApplyVerb {
        name: "regex_replace",
        help: "text with the matches of a regular expression replaced",
        arguments: &[
            argument("pattern", OptionType::Text, true, "a regular expression"),
            argument(
                "with",
                OptionType::Text,
                true,
                "what stands there instead; ${1} or ${name} is a group, $$ a dollar",
            ),
            argument(
                "all",
                OptionType::Boolean,
                false,
                "every match (default), or only the first",
            ),
        ],
        alone: None,
    },
    ApplyVerb {
        name: "regex_extract",
        help: "the part of a text that a regular expression matches; null where it does not match",
        arguments: &[
            argument("pattern", OptionType::Text, true, "a regular expression"),
            argument(
                "group",
                OptionType::Any,
                false,
                "number or name of a group; default the first, or the match if there is none",
            ),
        ],
        alone: Some("pattern"),
    },
    ApplyVerb {
        name: "truncate",
        help: "the first characters of a text",
        arguments: &[argument(
            "length",
            OptionType::Integer,
            true,
            "characters that are kept at most",
        )],
        alone: Some("length"),
    },
    ApplyVerb {
        name: "map_values",
        help: "other values for certain values",
        arguments: &[
            argument(
                "map",
                OptionType::Table,
                true,
                "old values and their new ones",
            ),
            argument(
                "default",
                OptionType::Any,
                false,
                "what all other values become; without it they stay",
            ),
        ],
        alone: None,
    },
    ApplyVerb {
        name: "multiply",
        help: "a number times another; whole numbers stay exact, and one out of range is refused",
        arguments: &[argument("by", OptionType::Any, true, "the factor")],
        alone: Some("by"),
    },
    ApplyVerb {
        name: "divide",
        help: "a number divided by another, as float64",
        arguments: &[argument("by", OptionType::Any, true, "the divisor, not 0")],
        alone: Some("by"),
    },
    ApplyVerb {
        name: "round",
        help: "a number to some decimal places, halves away from zero",
        arguments: &[argument(
            "digits",
            OptionType::Integer,
            false,
            "decimal places, default 0",
        )],
        alone: Some("digits"),
    },
    ApplyVerb {
        name: "to_timestamp",
        help: "text to a timestamp by the first format that fits; one that fits none is refused",
        arguments: &[argument(
            "formats",
            OptionType::TextList,
            true,
            "strftime formats, tried in order; without a time of day it is midnight",
        )],
        alone: Some("formats"),
    },
];

/// Adds a verb to a chain.
pub(super) fn add(
    chain: &mut Builder,
    name: &str,
    span: &Span,
    arguments: Option<&Node>,
) -> Result<()> {
    let Some(verb) = APPLY_VERBS.iter().find(|verb| verb.name == name) else {
        let label = match nearest(name, APPLY_VERBS.iter().map(|verb| verb.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "not a verb of `apply`".to_owned(),
        };
        let known: Vec<&str> = APPLY_VERBS.iter().map(|verb| verb.name).collect();
        return Err(Error::config(
            "plan::unknown_verb",
            format!("`apply` has no verb `{name}`"),
        )
        .at(span.clone(), label)
        .help(format!(
            "known: {}; `set` takes any SQL expression",
            known.join(", ")
        )));
    };
    let mut options = options(verb, span, arguments)?;
    match name {
        "lowercase" => text_call(chain, name, "lower", span, Vec::new()),
        "uppercase" => text_call(chain, name, "upper", span, Vec::new()),
        "title" => text_call(chain, name, "initcap", span, Vec::new()),
        "trim" => text_call(chain, name, "btrim", span, vec![lit(WHITE_SPACE)]),
        "truncate" => {
            let at = options.span_of("length");
            let length: i64 = options.require("length")?;
            if length < 0 {
                return Err(wrong_argument("a length is not negative", at));
            }
            text_call(chain, name, "left", span, vec![lit(length)])
        }
        "default" => default(chain, &mut options),
        "type_cast" => type_cast(chain, &mut options, span),
        "regex_replace" => pattern::replace(chain, &mut options, span),
        "regex_extract" => pattern::extract(chain, &mut options, span),
        "map_values" => map_values(chain, &mut options, span),
        "multiply" => multiply(chain, &mut options, span),
        "divide" => divide(chain, &mut options, span),
        "round" => round(chain, &mut options, span),
        _ => to_timestamp(chain, &mut options, span),
    }
}

fn options(verb: &ApplyVerb, span: &Span, arguments: Option<&Node>) -> Result<Options> {
    let section = format!("`{}`", verb.name);
    let node = match (arguments, verb.alone) {
        (Some(node), _) if is_arguments(verb, node) => node.clone(),
        (Some(node), Some(alone)) => {
            let entries = vec![(alone.to_owned(), span.clone(), node.clone())];
            Node {
                span: node.span.clone(),
                kind: NodeKind::Table(entries),
            }
        }
        (
            Some(Node {
                kind: NodeKind::Boolean(true),
                ..
            })
            | None,
            _,
        ) => Node {
            span: span.clone(),
            kind: NodeKind::Table(Vec::new()),
        },
        (Some(node), None) => {
            let want = if verb.arguments.is_empty() {
                "takes no arguments"
            } else {
                "takes a table of arguments"
            };
            return Err(wrong_argument(
                &format!("{section} {want}"),
                node.span.clone(),
            ));
        }
    };
    let options = Options::new(section, node)?;
    options.check(&[verb.arguments])?;
    Ok(options)
}

/// Whether a table is a verb's arguments; a default may be a table itself.
fn is_arguments(verb: &ApplyVerb, node: &Node) -> bool {
    match &node.kind {
        NodeKind::Table(entries) => {
            verb.name != "default" || matches!(entries.as_slice(), [(key, ..)] if key == "value")
        }
        _ => false,
    }
}

pub(super) fn wrong_argument(message: &str, at: Span) -> Error {
    Error::config("plan::wrong_argument", message).at(at, "here")
}

/// Every character of Unicode's White_Space.
const WHITE_SPACE: &str = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";

fn text_call(
    chain: &mut Builder,
    verb: &str,
    function: &str,
    span: &Span,
    mut more: Vec<Expr>,
) -> Result<()> {
    needs_text(chain, verb, span)?;
    let mut arguments = vec![chain.value()];
    arguments.append(&mut more);
    let expr = call(function, arguments)?;
    chain.push_expression(verb, expr, span)
}

pub(super) fn needs_text(chain: &Builder, verb: &str, span: &Span) -> Result<()> {
    match chain.logical {
        LogicalType::Utf8 | LogicalType::Null => Ok(()),
        _ => Err(needs(
            chain,
            verb,
            "text",
            "{ type_cast = { to = \"utf8\" } }",
            span,
        )),
    }
}

fn needs_number(chain: &Builder, verb: &str, span: &Span) -> Result<()> {
    match &chain.logical {
        LogicalType::Number => Err(needs(
            chain,
            verb,
            "a number of bounded size",
            "{ type_cast = { to = \"decimal(38, 10)\" } }",
            span,
        )),
        LogicalType::Null => Ok(()),
        logical if logical.is_numeric() => Ok(()),
        _ => Err(needs(
            chain,
            verb,
            "numbers",
            "{ type_cast = { to = \"float64\" } }",
            span,
        )),
    }
}

fn needs(chain: &Builder, verb: &str, what: &str, cast: &str, span: &Span) -> Error {
    let kinds = if chain.logical == LogicalType::Json {
        " (values of several kinds)"
    } else {
        ""
    };
    Error::config(
        "plan::wrong_type",
        format!(
            "{} applies `{verb}` to `{}`, which is {}{kinds} and not {what}",
            chain.reader(),
            chain.column,
            chain.logical
        ),
    )
    .at(span.clone(), format!("works on {what}"))
    .help(format!("put a cast before it: [{cast}, \"{verb}\"]"))
}

fn default(chain: &mut Builder, options: &mut Options) -> Result<()> {
    let node = require_node(options, "value")?;
    let logical = match chain.logical {
        LogicalType::Null => literal::natural(&node).unwrap_or(LogicalType::Json),
        ref logical => logical.clone(),
    };
    let value = literal::value(&node, &logical)?;
    chain.push_link(Link::Fill { value }, logical, false, &node.span)
}

fn require_node(options: &mut Options, name: &str) -> Result<Node> {
    let missing = wrong_argument(
        &format!("{} needs `{name}`", options.section),
        options.span.clone(),
    );
    options.take_node(name).ok_or(missing)
}

fn type_cast(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    let at = options.span_of("to");
    let to: String = options.require("to")?;
    let to: LogicalType = to
        .parse()
        .map_err(|why: String| wrong_argument(&why, at.clone()))?;
    let from = chain.logical.clone();
    if let Some(why) = refusal(&from, &to) {
        return Err(Error::config(
            "plan::no_cast",
            format!("{} casts `{}`: {why}", chain.reader(), chain.column),
        )
        .at(at, "not possible"));
    }
    let default = options
        .take_node("default")
        .map(|node| literal::value(&node, &to))
        .transpose()?;
    let nullable = chain.nullable || from == LogicalType::Json || from == LogicalType::Null;
    chain.push_link(
        Link::Convert {
            from,
            to: to.clone(),
            default,
        },
        to,
        nullable,
        span,
    )
}

fn map_values(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    let map = require_node(options, "map")?;
    let NodeKind::Table(entries) = &map.kind else {
        return Err(wrong_argument(
            "`map` must be a table of old values and new ones",
            map.span.clone(),
        ));
    };
    if entries.is_empty() {
        return Err(wrong_argument("`map` is empty", map.span.clone()));
    }
    if matches!(
        chain.logical,
        LogicalType::Json | LogicalType::Uuid | LogicalType::Number
    ) {
        return Err(needs(
            chain,
            "map_values",
            "text",
            "{ type_cast = { to = \"utf8\" } }",
            span,
        ));
    }
    let default = options.take_node("default");
    let logical = map_type(chain, entries, default.as_ref())?;
    let value = chain.value();
    let otherwise = match &default {
        Some(node) => literal::expression(node, &logical)?,
        None => value.clone(),
    };
    let mut case = None;
    for (old, at, new) in entries {
        let old = Node {
            span: at.clone(),
            kind: NodeKind::Text(old.clone()),
        };
        let is_old = value.clone().eq(literal::expression(&old, &chain.logical)?);
        let new = literal::expression(new, &logical)?;
        case = Some(match case {
            None => when(is_old, new),
            Some(mut case) => {
                datafusion_expr::conditional_expressions::CaseBuilder::when(&mut case, is_old, new)
            }
        });
    }
    let Some(mut case) = case else { return Ok(()) };
    let mapped = case
        .otherwise(otherwise)
        .map_err(|cause| Error::bug("a map is no expression").caused_by(cause))?;
    // A null stays null, default or not.
    let none = ScalarValue::try_from(&logical.arrow())
        .map_err(|cause| Error::bug("no null of a type").caused_by(cause))?;
    let expr = when(value.is_null(), lit(none))
        .otherwise(mapped)
        .map_err(|cause| Error::bug("a map is no expression").caused_by(cause))?;
    chain.push_expression("map_values", expr, span)
}

/// Without a default all other values stay, so the type does, too; with one it is that of the new
/// values.
fn map_type(
    chain: &Builder,
    entries: &[(String, Span, Node)],
    default: Option<&Node>,
) -> Result<LogicalType> {
    let Some(default) = default else {
        return Ok(chain.logical.clone());
    };
    let mut logical = None;
    for node in entries.iter().map(|(_, _, node)| node).chain([default]) {
        let natural = literal::natural(node).ok_or_else(|| {
            wrong_argument(
                "a new value is text, a number, true or false",
                node.span.clone(),
            )
        })?;
        logical = Some(match (logical, natural) {
            (None, natural) => natural,
            (Some(logical), natural) if logical == natural => logical,
            (
                Some(LogicalType::Int64 | LogicalType::Float64),
                LogicalType::Int64 | LogicalType::Float64,
            ) => LogicalType::Float64,
            (Some(logical), natural) => {
                return Err(wrong_argument(
                    &format!("the new values are of different types: {logical} and {natural}"),
                    node.span.clone(),
                ));
            }
        });
    }
    Ok(logical.unwrap_or(LogicalType::Utf8))
}

fn multiply(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_number(chain, "multiply", span)?;
    let node = require_node(options, "by")?;
    let by = match (&node.kind, &chain.logical) {
        (NodeKind::Integer(by), LogicalType::UInt64) if *by >= 0 => lit(by.unsigned_abs()),
        (NodeKind::Integer(by), _) => lit(*by),
        (NodeKind::Float(by), LogicalType::Decimal(..)) => decimal(*by)
            .ok_or_else(|| wrong_argument("the factor is no decimal", node.span.clone()))?,
        (NodeKind::Float(by), _) if by.is_finite() => lit(*by),
        _ => {
            return Err(wrong_argument(
                "`multiply` needs a number",
                node.span.clone(),
            ));
        }
    };
    let expr = chain.value() * by;
    chain.push_expression("multiply", expr, span)
}

/// A number of the job file as the decimal it is written as.
fn decimal(value: f64) -> Option<Expr> {
    let text = format!("{value}");
    let scale = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let digits: i128 = text.replace('.', "").parse().ok()?;
    let precision = digits.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    let precision = u8::try_from(precision.max(scale))
        .ok()
        .filter(|p| *p <= 38)?;
    Some(lit(ScalarValue::Decimal128(
        Some(digits),
        precision,
        i8::try_from(scale).ok()?,
    )))
}

fn divide(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_number(chain, "divide", span)?;
    let at = options.span_of("by");
    let by: f64 = options.require("by")?;
    if by == 0.0 || !by.is_finite() {
        return Err(wrong_argument("`divide` needs a number that is not 0", at));
    }
    let expr = cast(chain.value(), LogicalType::Float64.arrow()) / lit(by);
    chain.push_expression("divide", expr, span)
}

fn round(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_number(chain, "round", span)?;
    let at = options.span_of("digits");
    let digits: i32 = options.take("digits")?.unwrap_or(0);
    if digits.abs() > 38 {
        return Err(wrong_argument("`round` takes at most 38 digits", at));
    }
    let expr = call("round", vec![chain.value(), lit(digits)])?;
    chain.push_expression("round", expr, span)
}

fn to_timestamp(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_text(chain, "to_timestamp", span)?;
    let node = require_node(options, "formats")?;
    let items = match &node.kind {
        NodeKind::Array(items) => items.iter().collect(),
        _ => vec![&node],
    };
    let formats = items
        .iter()
        .map(|item| super::super::text(item, "a format").map(str::to_owned));
    let formats: Vec<String> = formats.collect::<Result<_>>()?;
    if formats.is_empty() {
        return Err(wrong_argument(
            "`to_timestamp` needs a format",
            node.span.clone(),
        ));
    }
    let formats = Formats::compile(&formats).map_err(|(index, why)| {
        wrong_argument(&why, items[index].span.clone())
            .help("the formats of strftime: %Y-%m-%d %H:%M:%S, %b %d %Y, %+ for RFC 3339")
    })?;
    let (logical, nullable) = (formats.logical(), chain.nullable);
    if chain.logical == LogicalType::Null {
        let (from, to) = (LogicalType::Null, LogicalType::Utf8);
        chain.push_link(
            Link::Convert {
                from,
                to: to.clone(),
                default: None,
            },
            to,
            true,
            span,
        )?;
    }
    chain.push_link(Link::Timestamp { formats }, logical, nullable, span)
}
