"""Python's standard library on a route: ROUTE IN OUT. What a careful script of twenty lines costs."""
import json
import sqlite3
import sys

route, source, target = sys.argv[1:]


def records():
    with open(source, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


if route == "jsonl-jsonl":
    with open(target, "w", encoding="utf-8") as out:
        for record in records():
            out.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
            out.write("\n")
elif route == "jsonl-sqlite":
    first = next(records())
    database = sqlite3.connect(target)
    columns = ", ".join(f'"{name}"' for name in first)
    places = ", ".join("?" for _ in first)
    database.execute(f"create table rows ({columns})")
    database.executemany(f"insert into rows values ({places})", (tuple(r.values()) for r in records()))
    database.commit()
else:
    sys.exit(f"no such route: {route}")
