-- Hosts that were found silent, so that it is told once.
CREATE TABLE silence (
    host_uid TEXT PRIMARY KEY REFERENCES host (uid) ON DELETE CASCADE,
    since BIGINT NOT NULL
);

-- What the webhook has still to be told.
CREATE TABLE webhook (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    tries BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
