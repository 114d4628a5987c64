"""ConnectorX: ROUTE TABLE FROM TO. Its binary protocol, Arrow batches as they come."""
import sys

import connectorx

route, table, source, target = sys.argv[1:]
query = f"select * from {table}"
batches = connectorx.read_sql(source, query, return_type="arrow_stream", batch_size=65_536)
if route == "pg-parquet":
    from pyarrow import parquet

    with parquet.ParquetWriter(target, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
elif route == "pg-jsonl":
    import polars

    with open(target, "wb") as file:
        for batch in batches:
            polars.from_arrow(batch).write_ndjson(file)
else:
    sys.exit(f"no such route: {route}")
