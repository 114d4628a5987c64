"""Python's standard library on a route: ROUTE IN OUT. What a careful script of twenty lines costs."""
import json
import sqlite3
import sys

route, source, target = sys.argv[1:]


def records():
    with open(source, encoding="utf-8") as text:
        if route == "json-sqlite":
            yield from json.load(text)
        elif route == "jsonl-sqlite":
            for line in text:
                yield json.loads(line)
        else:
            sys.exit(f"no such route: {route}")


all_records = records()
first = next(all_records)
database = sqlite3.connect(target)
columns = ", ".join(f'"{name}"' for name in first)
places = ", ".join("?" for _ in first)
database.execute(f"create table rows ({columns})")
insert = f"insert into rows values ({places})"
database.execute(insert, tuple(first.values()))
database.executemany(insert, (tuple(record.values()) for record in all_records))
database.commit()
