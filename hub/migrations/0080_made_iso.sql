-- ISOs that were made for somebody and not fetched yet, or not whole. What is in them beside the
-- base is sealed with a key of the data folder: it may hold a token.
CREATE TABLE made_iso (
    id TEXT PRIMARY KEY,
    maker TEXT NOT NULL,
    arch TEXT NOT NULL,
    base TEXT NOT NULL,
    sealed TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    token_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What the hub was told at an earlier start.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
