//! `regex_replace` and `regex_extract`: patterns that are checked when planning.

use datafusion_expr::lit;
use dkhost_core::{LogicalType, Node, NodeKind, Options, Result, Span};
use regex::Regex;

use super::chain::Builder;
use super::link::Link;
use super::verbs::{needs_text, wrong_argument};
use crate::expr::{call, pattern_fault};

pub(super) fn replace(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_text(chain, "regex_replace", span)?;
    let pattern = pattern(options)?;
    let at = options.span_of("with");
    let with: String = options.require("with")?;
    groups_exist(&with, &pattern).map_err(|why| wrong_argument(&why, at))?;
    let all: bool = options.take("all")?.unwrap_or(true);
    let mut arguments = vec![chain.value(), lit(pattern.as_str()), lit(with)];
    if all {
        arguments.push(lit("g"));
    }
    let expr = call("regexp_replace", arguments)?;
    chain.push_expression("regex_replace", expr, span)
}

pub(super) fn extract(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_text(chain, "regex_extract", span)?;
    let pattern = pattern(options)?;
    let group = match options.take_node("group") {
        None => usize::from(pattern.captures_len() > 1),
        Some(node) => group(&node, &pattern)?,
    };
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
    chain.push_link(
        Link::Extract { pattern, group },
        LogicalType::Utf8,
        true,
        span,
    )
}

fn pattern(options: &mut Options) -> Result<Regex> {
    let at = options.span_of("pattern");
    let pattern: String = options.require("pattern")?;
    Regex::new(&pattern).map_err(|cause| wrong_argument(&pattern_fault(&cause), at))
}

fn group(node: &Node, pattern: &Regex) -> Result<usize> {
    let found = match &node.kind {
        NodeKind::Integer(number) => usize::try_from(*number)
            .ok()
            .filter(|n| *n < pattern.captures_len()),
        NodeKind::Text(name) => pattern
            .capture_names()
            .position(|known| known == Some(name)),
        _ => None,
    };
    found.ok_or_else(|| {
        let groups = pattern.captures_len() - 1;
        wrong_argument(
            &format!(
                "the pattern has {groups} groups, and none is {}",
                node.to_json()
            ),
            node.span.clone(),
        )
        .help("0 is the whole match; groups count from 1, or have the names of (?<name>…)")
    })
}

/// A group that does not exist would be replaced by nothing, silently.
fn groups_exist(with: &str, pattern: &Regex) -> Result<(), String> {
    let references = Regex::new(r"\$\$|\$\{([^}]*)\}|\$([0-9A-Za-z_]+)|\\([0-9]+)")
        .map_err(|e| e.to_string())?;
    for reference in references.captures_iter(with) {
        let Some(group) = reference.iter().skip(1).flatten().next() else {
            continue;
        };
        let group = group.as_str();
        let exists = match group.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().any(|name| name == Some(group)),
        };
        if !exists {
            return Err(format!(
                "`with` refers to the group `{group}`, which the pattern does not have; write $$ for a dollar and ${{1}}x for a group before a letter"
            ));
        }
    }
    Ok(())
}
