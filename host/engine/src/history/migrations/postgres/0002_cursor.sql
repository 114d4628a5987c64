-- Incremental jobs: what a run reads, and up to where the job has come.
ALTER TABLE run ADD COLUMN cursor TEXT;             -- JSON: column, from, until, source; NULL for jobs that read all

-- Moved in the transaction that marks a run as done, never before.
CREATE TABLE job_cursor (
    job      TEXT PRIMARY KEY,
    body     TEXT NOT NULL,                         -- JSON: the cursor of the run that moved it
    run      TEXT COLLATE "C" NOT NULL,
    moved_at TEXT NOT NULL
);
