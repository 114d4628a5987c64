"""DuckDB on a route: ROUTE IN OUT."""
import sys

import duckdb

route, source, target = sys.argv[1:]
if route == "jsonl-jsonl":
    duckdb.sql(f"copy (select * from read_json('{source}')) to '{target}' (format json)")
elif route == "csv-parquet":
    duckdb.sql(f"copy (select * from read_csv('{source}')) to '{target}' (format parquet, compression zstd)")
else:
    sys.exit(f"no such route: {route}")
