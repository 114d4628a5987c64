//! `[[steps]]`: each has exactly one verb, and optionally a name, a config and an `on_error`.

use dkhost_core::{Error, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span};

use super::settings::{self, OnError};
use super::unknown_verb;

/// One step as written.
#[derive(Debug, Clone)]
pub struct StepSpec {
    /// The name given, if one was.
    pub name: Option<String>,
    /// The verb: `rename`, `set`, …, `plugin`.
    pub verb: String,
    /// What the verb is given.
    pub node: Node,
    /// `config` of a plugin step.
    pub config: Option<Node>,
    /// `coerce` of a validating step: values of another type are converted, defaults filled in.
    pub coerce: bool,
    /// The step's own policy for records it refuses.
    pub on_error: Option<OnError>,
    /// Where the step stands.
    pub span: Span,
}

impl StepSpec {
    /// The step that `--plugin` adds when no step names the plugin.
    pub fn plugin(name: &str) -> Self {
        StepSpec {
            name: None,
            verb: "plugin".into(),
            node: Node::new(NodeKind::Text(name.to_owned())),
            config: None,
            coerce: false,
            on_error: None,
            span: 0..0,
        }
    }

    /// Whether `--plugin` added it: no step of the job names the plugin.
    pub fn is_implied(&self) -> bool {
        self.verb == "plugin" && self.span.is_empty()
    }

    /// The plugin this step names: component and, after `/`, the plugin inside it.
    pub fn plugin_name(&self) -> Option<(&str, Option<&str>)> {
        match &self.node.kind {
            NodeKind::Text(text) if self.verb == "plugin" => Some(match text.split_once('/') {
                Some((component, plugin)) => (component, Some(plugin)),
                None => (text, None),
            }),
            _ => None,
        }
    }

    /// Whether this step runs a plugin of the component called `name`.
    pub fn uses_plugin(&self, name: &str) -> bool {
        self.plugin_name()
            .is_some_and(|(component, _)| component == name)
    }
}

/// The keys of a step beside its verb.
pub const STEP_OPTIONS: &[OptionSpec] = &[
    OptionSpec::optional(
        "name",
        OptionType::Text,
        "what reports and dead letters call the step",
    ),
    OptionSpec::optional(
        "on_error",
        OptionType::Any,
        "records this step refuses; as run.on_error",
    ),
    OptionSpec::optional("config", OptionType::Table, "the configuration of a plugin"),
    OptionSpec::optional(
        "coerce",
        OptionType::Boolean,
        "for `validate`: convert values of another type where that changes none, and fill in defaults (false)",
    ),
];

/// The verbs whose meaning stands in another file: a component, or versions of a schema.
pub const OTHER_VERBS: &[OptionSpec] = &[
    OptionSpec::optional(
        "plugin",
        OptionType::Text,
        "a component, or component/plugin",
    ),
    OptionSpec::optional(
        "validate",
        OptionType::Text,
        "a version of a schema, user@2.0.0: records that do not satisfy it are refused with all that is wrong with them",
    ),
    OptionSpec::optional(
        "migrate",
        OptionType::Table,
        "{ schema = \"user\", to = \"2.0.0\", from = \"1.0.0\" }: brings records to a version of a schema; without `from` each record says which version it is of",
    ),
];

/// The verbs of this version.
pub fn verbs() -> Vec<OptionSpec> {
    crate::steps::VERBS
        .iter()
        .chain(OTHER_VERBS)
        .copied()
        .collect()
}

/// Reads `[[steps]]`.
pub fn read(node: Option<Node>) -> Result<Vec<StepSpec>> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let NodeKind::Array(items) = node.kind else {
        return Err(Error::config("job::wrong_type", "steps are a list")
            .at(node.span, "here")
            .help("write each step under its own [[steps]] line"));
    };
    items.into_iter().map(step).collect()
}

fn step(node: Node) -> Result<StepSpec> {
    let span = node.span.clone();
    let mut options = Options::new("a step", node)?;
    let name = options.take("name")?;
    let config = options.take_node("config");
    let (coerce_span, coerce) = (options.span_of("coerce"), options.take("coerce")?);
    let on_error = options
        .take_node("on_error")
        .map(|node| settings::on_error(&node))
        .transpose()?;
    let known: Vec<&str> = verbs().iter().map(|verb| verb.name).collect();
    let keys: Vec<(String, Span)> = options
        .keys()
        .map(|(key, span)| (key.to_owned(), span.clone()))
        .collect();
    for (key, key_span) in &keys {
        if !known.contains(&key.as_str()) {
            return Err(unknown_verb(key, key_span, &known));
        }
    }
    let verb = match keys.as_slice() {
        [(verb, _)] => verb.clone(),
        [] => {
            return Err(Error::config("job::no_verb", "this step does nothing")
                .at(span, "a step needs one verb")
                .help(format!("one of: {}", known.join(", "))));
        }
        [_, (second, second_span), ..] => {
            return Err(
                Error::config("job::two_verbs", "a step has exactly one verb")
                    .at(second_span.clone(), format!("`{second}` is the second one"))
                    .help("write it under a [[steps]] line of its own"),
            );
        }
    };
    if config.is_some() && verb != "plugin" {
        return Err(Error::config(
            "job::unknown_key",
            format!("`config` belongs to plugins, not to `{verb}`"),
        )
        .at(span, "in this step")
        .help("remove it, or run a plugin in this step: plugin = \"NAME\""));
    }
    if coerce.is_some() && verb != "validate" {
        return Err(Error::config(
            "job::unknown_key",
            format!("`coerce` belongs to `validate`, not to `{verb}`"),
        )
        .at(coerce_span, "in this step")
        .help("`apply` with type_cast converts single columns"));
    }
    let node = options
        .take_node(&verb)
        .unwrap_or_else(|| Node::new(NodeKind::Boolean(true)));
    if verb == "plugin" && !matches!(node.kind, NodeKind::Text(_)) {
        return Err(super::quantity::wrong(
            &node,
            "plugin",
            "the name of a component, or component/plugin",
        ));
    }
    Ok(StepSpec {
        name,
        verb,
        node,
        config,
        coerce: coerce.unwrap_or_default(),
        on_error,
        span,
    })
}
