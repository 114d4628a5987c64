-- One row per run: what it was, how far it came, how it ended.
CREATE TABLE run (
    id          TEXT PRIMARY KEY,               -- UUIDv7
    job         TEXT NOT NULL,
    kind        TEXT NOT NULL,                  -- run | retry
    status      TEXT NOT NULL,                  -- running | stopped | failed | done | abandoned
    epoch       INTEGER NOT NULL,
    plan_hash   TEXT NOT NULL,
    fingerprint TEXT NOT NULL,                  -- JSON: what the source was
    partitions  TEXT NOT NULL,                  -- JSON: the frozen slices
    base        TEXT,                           -- JSON: what the target held before, for verification
    source      TEXT NOT NULL,
    target      TEXT NOT NULL,
    delivery    TEXT NOT NULL,
    job_path    TEXT NOT NULL,
    started_at  TEXT NOT NULL,                  -- RFC 3339, UTC
    updated_at  TEXT NOT NULL,
    finished_at TEXT,
    busy_ms     INTEGER NOT NULL DEFAULT 0,     -- wall time of all its processes
    cpu_ms      INTEGER NOT NULL DEFAULT 0,     -- CPU time of all its processes
    exit_code   INTEGER,
    message     TEXT,                           -- why it stopped
    report      TEXT                            -- JSON
) STRICT;
CREATE INDEX run_job ON run (job, id);

-- What the host found out about the run on the way: plan changes accepted, takeovers.
CREATE TABLE remark (
    run  TEXT NOT NULL REFERENCES run (id),
    at   TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;

-- A copy of the target's checkpoints; may lag, never leads.
CREATE TABLE checkpoint (
    run        TEXT NOT NULL REFERENCES run (id),
    partition  INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    body       TEXT NOT NULL,                   -- JSON
    updated_at TEXT NOT NULL,
    PRIMARY KEY (run, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin (
    run     TEXT NOT NULL REFERENCES run (id),
    stage   TEXT NOT NULL,
    name    TEXT NOT NULL,
    digest  TEXT NOT NULL,
    PRIMARY KEY (run, stage)
) STRICT, WITHOUT ROWID;

-- Refused records, written before the checkpoint moves past them.
CREATE TABLE dead_letter (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    job            TEXT NOT NULL,
    run            TEXT NOT NULL REFERENCES run (id),
    partition      INTEGER NOT NULL,
    batch          INTEGER NOT NULL,
    row            INTEGER NOT NULL,
    source_id      TEXT,
    locator        TEXT NOT NULL,               -- JSON
    kind           TEXT NOT NULL,
    stage          TEXT NOT NULL,
    "column"       TEXT,
    code           TEXT NOT NULL,
    message        TEXT NOT NULL,
    plugin_digest  TEXT,
    payload        BLOB NOT NULL,
    media          TEXT NOT NULL,
    payload_length INTEGER NOT NULL,
    payload_sha256 TEXT NOT NULL,
    resolved_by    TEXT,                        -- the run that brought it in after all
    UNIQUE (run, partition, batch, row)
) STRICT;
