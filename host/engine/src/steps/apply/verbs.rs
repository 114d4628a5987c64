//! What each verb of `apply` compiles to.

use datafusion_expr::{Expr, lit};
use dkhost_core::error::nearest;
use dkhost_core::{Error, LogicalType, Node, NodeKind, Options, Result, Span};

use super::chain::Builder;
use super::link::Link;
use super::timestamp::Formats;
use super::vocabulary::{APPLY_VERBS, ApplyVerb};
use super::{literal, map, numbers, pattern};
use crate::expr::call;
use crate::expr::convert::refusal;

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
        "map_values" => map::map_values(chain, &mut options, span),
        "multiply" => numbers::multiply(chain, &mut options, span),
        "divide" => numbers::divide(chain, &mut options, span),
        "round" => numbers::round(chain, &mut options, span),
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

pub(super) fn needs(chain: &Builder, verb: &str, what: &str, cast: &str, span: &Span) -> Error {
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

pub(super) fn require_node(options: &mut Options, name: &str) -> Result<Node> {
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
