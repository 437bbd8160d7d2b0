-- Codes that take the place of a lost authenticator, each once. Only hashes are kept: a code has
-- 80 random bits.
CREATE TABLE recovery_code (
    hash TEXT PRIMARY KEY,
    person TEXT NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    made_at BIGINT NOT NULL
);
CREATE INDEX recovery_code_by_person ON recovery_code (person);
