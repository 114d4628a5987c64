"""dataknobs-data's migrator from its JSON store to its SQLite store: ROUTE IN OUT."""
import sys

from dataknobs_data.backends.file import SyncFileDatabase
from dataknobs_data.backends.sqlite import SyncSQLiteDatabase
from dataknobs_data.migration import Migrator
from dataknobs_data.streaming import StreamConfig

route, store, target = sys.argv[1:]
if route != "store-sqlite":
    sys.exit(f"no such route: {route}")
source = SyncFileDatabase({"path": store, "format": "json"})
database = SyncSQLiteDatabase({"path": target, "table": "rows"})
source.connect()
database.connect()
progress = Migrator().migrate_stream(source, database, config=StreamConfig(batch_size=1000))
database.close()
source.close()
if progress.failed or progress.succeeded == 0:
    sys.exit(f"{progress.succeeded} records moved, {progress.failed} failed")
