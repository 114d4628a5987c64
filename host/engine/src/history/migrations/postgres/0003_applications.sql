-- Which version of a schema a store was brought to, by whom, and by which migrations. How an
-- application stands is what its run says: a process that dies writes nothing down here.
CREATE TABLE schema_application (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run          TEXT COLLATE "C" NOT NULL UNIQUE REFERENCES run (id),
    "schema"     TEXT NOT NULL,
    from_version TEXT,                          -- NULL for a store of several versions
    to_version   TEXT NOT NULL,
    direction    TEXT NOT NULL,                 -- up | down
    job          TEXT NOT NULL,
    store        TEXT NOT NULL,                 -- for people, without secrets
    who          TEXT NOT NULL,                 -- user@host
    started_at   TEXT NOT NULL,                 -- RFC 3339, UTC
    ended_at     TEXT,
    status       TEXT NOT NULL,                 -- running | stopped | failed | done
    steps        TEXT NOT NULL,                 -- JSON: the hops, with digests
    counts       TEXT,                          -- JSON: changed, unchanged, rejected
    duration_ms  BIGINT,
    message      TEXT                           -- why it stopped
);
CREATE INDEX schema_application_schema ON schema_application ("schema", id);
