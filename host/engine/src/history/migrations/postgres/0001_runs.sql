-- The tables of SQLite's first two migrations, in this dialect. Made inside the schema
-- `dkhost_history`, in one transaction.

-- One row per run: what it was, how far it came, how it ended.
CREATE TABLE run (
    id          TEXT COLLATE "C" PRIMARY KEY,   -- UUIDv7
    job         TEXT NOT NULL,
    kind        TEXT NOT NULL,                  -- run | retry
    status      TEXT NOT NULL,                  -- running | stopped | failed | done | abandoned
    epoch       BIGINT NOT NULL,
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
    busy_ms     BIGINT NOT NULL DEFAULT 0,      -- wall time of all its processes
    cpu_ms      BIGINT NOT NULL DEFAULT 0,      -- CPU time of all its processes
    exit_code   BIGINT,
    message     TEXT,                           -- why it stopped
    report      TEXT                            -- JSON
);
CREATE INDEX run_job ON run (job, id);

-- What the host found out about the run on the way: plan changes accepted, takeovers.
CREATE TABLE remark (
    run  TEXT COLLATE "C" NOT NULL REFERENCES run (id),
    at   TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX remark_run ON remark (run);

-- A copy of the target's checkpoints; may lag, never leads.
CREATE TABLE checkpoint (
    run        TEXT COLLATE "C" NOT NULL REFERENCES run (id),
    partition  BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    body       TEXT NOT NULL,                   -- JSON
    updated_at TEXT NOT NULL,
    PRIMARY KEY (run, partition)
);

CREATE TABLE plugin (
    run     TEXT COLLATE "C" NOT NULL REFERENCES run (id),
    stage   TEXT NOT NULL,
    name    TEXT NOT NULL,
    digest  TEXT NOT NULL,
    PRIMARY KEY (run, stage)
);

-- Refused records, written before the checkpoint moves past them.
CREATE TABLE dead_letter (
    number         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job            TEXT NOT NULL,
    run            TEXT COLLATE "C" NOT NULL REFERENCES run (id),
    partition      BIGINT NOT NULL,
    batch          BIGINT NOT NULL,
    row            BIGINT NOT NULL,
    source_id      TEXT,
    locator        TEXT NOT NULL,               -- JSON
    kind           TEXT NOT NULL,
    stage          TEXT NOT NULL,
    "column"       TEXT,
    code           TEXT NOT NULL,
    message        TEXT NOT NULL,
    plugin_digest  TEXT,
    attempts       BIGINT NOT NULL DEFAULT 1,
    repeats        BIGINT,                      -- number of the letter it repeats
    payload        BYTEA NOT NULL,
    media          TEXT NOT NULL,
    payload_length BIGINT NOT NULL,
    payload_sha256 TEXT NOT NULL,
    resolved_by    TEXT,                        -- the run that brought it in after all
    UNIQUE (run, partition, batch, row)
);
CREATE INDEX dead_letter_repeats ON dead_letter (repeats) WHERE repeats IS NOT NULL;
CREATE INDEX dead_letter_open ON dead_letter (job, number) WHERE resolved_by IS NULL;

-- Who works on a job. Told to people only: the lock itself is an advisory one, which goes with
-- whoever holds it.
CREATE TABLE job_holder (
    job    TEXT PRIMARY KEY,
    holder TEXT NOT NULL
);

-- SQLite's function for a list of numbers in JSON, so that statements are written once.
CREATE FUNCTION json_each(list TEXT) RETURNS TABLE (value BIGINT)
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT item::pg_catalog.int8 FROM pg_catalog.json_array_elements_text(list::pg_catalog.json) AS item $$;
