"""ADBC's driver for PostgreSQL: ROUTE TABLE FROM TO. Arrow batches from COPY into COPY, nothing kept in memory."""
import sys

import adbc_driver_postgresql.dbapi as postgres
import pyarrow
from pyarrow import csv, parquet

route, table, source, target = sys.argv[1:]
TYPES = {
    "id": pyarrow.int64(),
    "name": pyarrow.string(),
    "email": pyarrow.string(),
    "phone": pyarrow.string(),
    "country": pyarrow.string(),
    "visits": pyarrow.int32(),
    "amount": pyarrow.float64(),
    "score": pyarrow.float64(),
    "active": pyarrow.bool_(),
    "updated_at": pyarrow.timestamp("us"),
}


def ingest(batches, into, schema):
    with postgres.connect(target) as connection, connection.cursor() as cursor:
        if route == "pg-pg-upsert":
            cursor.execute("create temporary table staged (like target.rows)")
        is_temporary = {"temporary": True} if schema is None else {"db_schema_name": schema}
        cursor.adbc_ingest(into, batches, mode="append", **is_temporary)
        if route == "pg-pg-upsert":
            changes = ", ".join(f"{name} = excluded.{name}" for name in TYPES if name != "id")
            cursor.execute(
                f"insert into target.rows select * from staged on conflict (id) do update set {changes}"
            )
        connection.commit()


if route == "csv-pg":
    # The types are given, not found out.
    convert = csv.ConvertOptions(column_types=TYPES)
    ingest(csv.open_csv(source, convert_options=convert), "rows", "target")
else:
    with postgres.connect(source) as connection, connection.cursor() as cursor:
        cursor.execute(f"select * from {table}")
        batches = cursor.fetch_record_batch()
        if route == "pg-pg":
            ingest(batches, "rows", "target")
        elif route == "pg-pg-upsert":
            ingest(batches, "staged", None)
        elif route == "pg-parquet":
            with parquet.ParquetWriter(target, batches.schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
        else:
            sys.exit(f"no such route: {route}")
