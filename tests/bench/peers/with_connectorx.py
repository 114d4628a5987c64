"""ConnectorX: ROUTE TABLE FROM TO. Its binary protocol, the whole result as one Arrow table."""
import sys

import connectorx

route, table, source, target = sys.argv[1:]
rows = connectorx.read_sql(source, f"select * from {table}", return_type="arrow", protocol="binary")
if route == "pg-parquet":
    from pyarrow import parquet

    parquet.write_table(rows, target, compression="zstd")
elif route == "pg-jsonl":
    import polars

    polars.from_arrow(rows).write_ndjson(target)
else:
    sys.exit(f"no such route: {route}")
