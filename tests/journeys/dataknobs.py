"""What dataknobs finds in a store: elasticsearch IDS HOST PORT INDEX, or s3 IDS ENDPOINT REGION BUCKET PREFIX KEY SECRET.

IDS are a list of JSON: what is read by id, how many it counts, how many a
search finds.
"""

import json
import sys

from dataknobs_data import Query


def elasticsearch(host, port, index):
    from dataknobs_data.backends.elasticsearch import SyncElasticsearchDatabase

    return SyncElasticsearchDatabase({"host": host, "port": int(port), "index": index})


def s3(endpoint, region, bucket, prefix, key, secret):
    from dataknobs_data.backends.s3 import SyncS3Database

    return SyncS3Database(
        {
            "bucket": bucket,
            "prefix": prefix,
            "region": region,
            "endpoint_url": endpoint,
            "access_key_id": key,
            "secret_access_key": secret,
        }
    )


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


def said(record):
    fields = {name: plain(field.value) for name, field in record.fields.items()}
    return {"fields": fields, "metadata": record.metadata}


def main():
    kind, ids, *place = sys.argv[1:]
    store = {"elasticsearch": elasticsearch, "s3": s3}[kind](*place)
    store.connect()
    read = {id: store.read(id) for id in json.loads(ids)}
    found = {
        "count": store.count(),
        "searched": len(store.search(Query())),
        "read": {id: record and said(record) for id, record in read.items()},
    }
    store.close()
    print(json.dumps(found, default=str))


main()
