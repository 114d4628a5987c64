"""dlt: ROUTE TABLE FROM TO SCRATCH. ConnectorX reads, Arrow tables are passed on, Parquet goes through ADBC."""
import os
import pathlib
import sys

route, table, source, target, scratch = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"

import dlt
from dlt.sources.sql_database import sql_table


def with_password(url, scheme="postgresql"):
    """dlt insists on a password, and SQLAlchemy on naming its driver."""
    return url.replace("postgres://postgres@", f"{scheme}://postgres:none@")


@dlt.resource(name="rows")
def rows_of_csv():
    from pyarrow import csv

    yield from csv.open_csv(source)


def rows_of_table():
    schema, name = table.split(".")
    url = with_password(source, "postgresql+psycopg2")
    return sql_table(url, table=name, schema=schema, backend="connectorx", chunk_size=100_000)


rows = rows_of_csv() if route == "csv-pg" else rows_of_table()
how = {"write_disposition": "append"}
if route in ("pg-parquet", "pg-jsonl"):
    destination = dlt.destinations.filesystem(pathlib.Path(target).absolute().as_uri())
    how["loader_file_format"] = route.removeprefix("pg-")
else:
    destination = dlt.destinations.postgres(with_password(target))
    how["loader_file_format"] = "parquet"
if route == "pg-pg-upsert":
    rows.apply_hints(primary_key="id")
    how["write_disposition"] = {"disposition": "merge", "strategy": "upsert"}
pipeline = dlt.pipeline("bench", pipelines_dir=scratch, destination=destination, dataset_name="target")
pipeline.run(rows, table_name="rows", **how).raise_on_failed_jobs()
