"""DuckDB on a route, one thread: ROUTE IN OUT."""
import sys

import duckdb

route, source, target = sys.argv[1:]
duckdb.sql("set threads = 1")
if route == "read-json":
    # Every column of every row is parsed and typed, and nothing is kept.
    duckdb.sql(f"select count(columns(*)) from read_json('{source}')").fetchall()
elif route == "csv-parquet":
    duckdb.sql(f"copy (select * from read_csv('{source}')) to '{target}' (format parquet, compression zstd)")
elif route == "parquet-jsonl":
    duckdb.sql(f"copy (select * from read_parquet('{source}')) to '{target}' (format json)")
else:
    sys.exit(f"no such route: {route}")
