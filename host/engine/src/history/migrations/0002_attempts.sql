-- A record that a retry refuses again is a letter of the retry, and says which letter it repeats:
-- the old one is resolved when the last of them is, and only the last one is tried again.
ALTER TABLE dead_letter ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dead_letter ADD COLUMN repeats INTEGER;   -- number of the letter it repeats

CREATE INDEX dead_letter_repeats ON dead_letter (repeats) WHERE repeats IS NOT NULL;
CREATE INDEX dead_letter_open ON dead_letter (job, number) WHERE resolved_by IS NULL;
