"""Polars on a route, streaming: ROUTE IN OUT."""
import sys

import polars

route, source, target = sys.argv[1:]
if route == "csv-parquet":
    polars.scan_csv(source, try_parse_dates=True).sink_parquet(target, compression="zstd")
elif route == "parquet-jsonl":
    polars.scan_parquet(source).sink_ndjson(target)
else:
    sys.exit(f"no such route: {route}")
