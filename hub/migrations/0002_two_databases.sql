-- Numbers are given by the hub, so that they mean the same in SQLite and in PostgreSQL.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) SELECT 'event', COALESCE(MAX(number), 0) FROM event;
INSERT INTO counter (name, value) SELECT 'audit', COALESCE(MAX(number), 0) FROM audit;

CREATE TABLE event_numbered (
    number BIGINT PRIMARY KEY,
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (host_uid, id)
);
INSERT INTO event_numbered (number, host_uid, id, received_at, body)
SELECT number, host_uid, id, received_at, body FROM event;
DROP TABLE event;
ALTER TABLE event_numbered RENAME TO event;
CREATE INDEX event_by_host ON event (host_uid, number);

-- Who did what. Each row carries the hash of the one before it: a removed row is seen.
CREATE TABLE audit_numbered (
    number BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_numbered (number, time, actor, action, object, hash)
SELECT number, time, actor, action, object, hash FROM audit;
DROP TABLE audit;
ALTER TABLE audit_numbered RENAME TO audit;

-- Nonces that were used, for hubs that share a database.
CREATE TABLE nonce (
    nonce TEXT PRIMARY KEY,
    spent_at BIGINT NOT NULL
);
CREATE INDEX nonce_by_time ON nonce (spent_at);
