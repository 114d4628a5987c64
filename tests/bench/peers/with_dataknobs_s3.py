"""dataknobs-data's own stream from its JSON store into S3, below `records/`: STORE RECORDS, which says how many there are.

The server, the bucket and who asks are in BENCH_S3_ENDPOINT, BENCH_S3_BUCKET, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY.
"""
import os
import sys

from dataknobs_data.backends.file import SyncFileDatabase
from dataknobs_data.backends.s3 import SyncS3Database

store, expected = sys.argv[1], int(sys.argv[2])
source = SyncFileDatabase({"path": store, "format": "json"})
source.connect()
target = SyncS3Database(
    {
        "bucket": os.environ["BENCH_S3_BUCKET"],
        "prefix": "records/",
        "region": "us-east-1",
        "endpoint_url": os.environ["BENCH_S3_ENDPOINT"],
        "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
)
try:
    target.connect()
    written = target.stream_write(source.stream_read())
    target.close()
except Exception as cause:
    # Of many lines the last one says it.
    sys.exit(f"error: {cause}")
source.close()
if written.failed or written.successful != expected:
    sys.exit(f"error: {written.successful} records written, {expected} expected, {written.failed} failed")
