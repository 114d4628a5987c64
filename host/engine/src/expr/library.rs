//! The functions, operators and type names an expression may use.
//!
//! These are DataFusion's scalar functions. Left out are those that show Arrow's inner life or
//! have no meaning outside of a query; refused by name are those whose value is another one each
//! time (a batch that is repeated must come out the same, or a resumed run ends elsewhere), and
//! those that look at many records.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DataFusionError, TableReference, not_impl_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion_expr::sqlparser::ast::{DataType as SqlType, TimezoneInfo};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use dkhost_core::{Field, LogicalType};

/// Functions that tell about files, plans and Arrow, not about values, and those that make lists
/// as long as a value in the data says.
const LEFT_OUT: [&str; 20] = [
    "arrow_cast",
    "arrow_try_cast",
    "arrow_field",
    "arrow_metadata",
    "arrow_typeof",
    "with_metadata",
    "cast_to_type",
    "try_cast_to_type",
    "union_extract",
    "union_tag",
    "version",
    "input_file_name",
    "file_row_index",
    "map",
    "map_entries",
    "map_extract",
    "range",
    "generate_series",
    "array_repeat",
    "array_resize",
];

/// Functions whose value is another one each time.
pub(crate) const VOLATILE: [&str; 3] = ["random", "uuid", "gen_random_uuid"];

/// Functions of the run's start.
pub(crate) const TIMES: [&str; 5] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "today",
];

/// Functions over many records, for a better refusal than "unknown".
pub(crate) const OVER_RECORDS: [&str; 24] = [
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "stddev",
    "var",
    "variance",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "first_value",
    "last_value",
    "nth_value",
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
    "lag",
    "lead",
    "approx_distinct",
];

/// What the SQL planner may look up.
pub(crate) struct Library {
    functions: BTreeMap<String, Arc<ScalarUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    types: Arc<dyn TypePlanner>,
    pub(crate) config: Arc<ConfigOptions>,
}

/// The library; the same for every expression.
pub(crate) static LIBRARY: LazyLock<Library> = LazyLock::new(Library::new);

impl Library {
    fn new() -> Self {
        let mut config = ConfigOptions::default();
        config.sql_parser.map_string_types_to_utf8view = false;
        // Names were matched by us and are exact from here on.
        config.sql_parser.enable_ident_normalization = false;
        // `now()` and `current_date` are UTC wherever the run takes place.
        config.execution.time_zone = Some("UTC".to_owned());
        let mut functions = BTreeMap::new();
        let now = datafusion_functions::datetime::now(&config);
        let all = datafusion_functions::all_default_functions()
            .into_iter()
            .chain(datafusion_functions_nested::all_default_nested_functions())
            .chain([now]);
        for function in
            all.filter(|f| !LEFT_OUT.contains(&f.name()) && !VOLATILE.contains(&f.name()))
        {
            for alias in function.aliases() {
                functions.insert(alias.clone(), function.clone());
            }
            functions.insert(function.name().to_owned(), function);
        }
        Library {
            functions,
            planners: vec![
                Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
                Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
                Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
                Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
                Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
            ],
            types: Arc::new(OurTypes),
            config: Arc::new(config),
        }
    }

    /// Every function's name, aliases included.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The function called `name`, in lower case.
    pub(crate) fn function(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.functions.get(name)
    }
}

impl ContextProvider for Library {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        not_impl_err!("an expression reads no table, not even `{name}`")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(self.types.clone())
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.function(&name.to_lowercase()).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.config
    }

    fn udf_names(&self) -> Vec<String> {
        self.names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Type names in `cast`: SQL's, with times in microseconds, and our own spellings.
#[derive(Debug)]
struct OurTypes;

impl TypePlanner for OurTypes {
    fn plan_type_field(&self, name: &SqlType) -> Result<Option<FieldRef>, DataFusionError> {
        let utc = || Some(Arc::from("UTC"));
        let logical = match name {
            SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
            | SqlType::Datetime(_) => LogicalType::Timestamp(None),
            SqlType::Timestamp(..) => LogicalType::Timestamp(utc()),
            SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                LogicalType::Time64
            }
            SqlType::JSON | SqlType::JSONB => LogicalType::Json,
            SqlType::Uuid => LogicalType::Uuid,
            // Ours; what neither knows is refused by DataFusion with the name as written.
            _ => match name.to_string().to_lowercase().parse() {
                Ok(logical) => logical,
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(Arc::new(Field::new("", logical).to_arrow())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_change_from_call_to_call_are_not_in_the_library() {
        for name in VOLATILE.iter().chain(&LEFT_OUT).chain(&OVER_RECORDS) {
            assert!(LIBRARY.function(name).is_none(), "{name}");
        }
        for name in [
            "lower",
            "trim",
            "coalesce",
            "regexp_replace",
            "date_trunc",
            "to_timestamp",
            "now",
            "abs",
        ] {
            assert!(LIBRARY.function(name).is_some(), "{name}");
        }
        let volatile =
            |f: &&Arc<ScalarUDF>| f.signature().volatility == datafusion_expr::Volatility::Volatile;
        assert_eq!(LIBRARY.functions.values().find(volatile), None);
    }
}
