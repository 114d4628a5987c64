"""What dataknobs does with a store: `write` puts the records of a file there, `read` says what it finds.

store.py write|read HOST PORT DATABASE USER TABLE RECORDS
"""

import asyncio
import json
import sys
from collections import OrderedDict

from dataknobs_data import Query, Record
from dataknobs_data.backends.postgres import AsyncPostgresDatabase, SyncPostgresDatabase
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


def said(records):
    found = {}
    for record in records:
        fields = {name: plain(one) for name, one in record.fields.items()}
        found[record.storage_id] = {"fields": fields, "metadata": record.metadata}
    return found


async def later(config):
    store = AsyncPostgresDatabase(config)
    await store.connect()
    found = said(await store.search(Query()))
    await store.close()
    return found


def read(store, config):
    found = said(store.search(Query()))
    for id in found:
        assert said([store.read(id)]) == {id: found[id]}, id
    # By dataknobs' own SQL over what is inside.
    two = said(store.search(Query().filter("count", "=", 2)))
    assert list(two) == ["plain"], two
    assert asyncio.run(later(config)) == found
    print(json.dumps(found))


def main():
    doing, host, port, database, user, table, records = sys.argv[1:]
    config = {
        "host": host,
        "port": int(port),
        "database": database,
        "user": user,
        "password": "",
        "table": table,
        "ensure_database": False,
    }
    store = SyncPostgresDatabase(dict(config))
    store.connect()
    write(store, records) if doing == "write" else read(store, config)
    store.close()


main()
