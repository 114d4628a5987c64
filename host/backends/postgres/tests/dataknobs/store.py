"""What dataknobs does with a store: `write` puts the records of a file there, `read` says what it finds.

store.py write|read HOST PORT DATABASE USER TABLE RECORDS
"""

import json
import sys
from collections import OrderedDict

from dataknobs_data import Query, Record
from dataknobs_data.backends.postgres import SyncPostgresDatabase
from dataknobs_data.fields import Field, FieldType, VectorField


def field(name, said):
    if said["type"] == "vector":
        return VectorField(
            value=said["value"], name=name, source_field="body", model_name="m1", model_version="v2"
        )
    return Field(name=name, value=said["value"], type=FieldType(said["type"]))


def write(store, path):
    with open(path, encoding="utf-8") as file:
        records = json.load(file)
    for id, said in records.items():
        fields = OrderedDict((name, field(name, one)) for name, one in said["fields"].items())
        record = Record(fields, metadata=said["metadata"])
        record.storage_id = id
        store.create(record)


def plain(one):
    value = one.value.tolist() if hasattr(one.value, "tolist") else one.value
    said = {"value": value, "type": one.type.value}
    if one.type == FieldType.VECTOR:
        said["metadata"] = one.metadata
    return said


def read(store):
    found = {}
    for record in store.search(Query()):
        fields = {name: plain(one) for name, one in record.fields.items()}
        found[record.storage_id] = {"fields": fields, "metadata": record.metadata}
    # One by its id, and one by a field's value, by which dataknobs' own SQL finds it.
    for id in found:
        assert store.read(id) is not None, id
    print(json.dumps(found))


def main():
    doing, host, port, database, user, table, records = sys.argv[1:]
    store = SyncPostgresDatabase(
        {
            "host": host,
            "port": int(port),
            "database": database,
            "user": user,
            "password": "",
            "table": table,
            "ensure_database": False,
        }
    )
    store.connect()
    write(store, records) if doing == "write" else read(store)
    store.close()


main()
