-- Codes and numbers on screens let somebody in: they are kept sealed like other secrets. Hosts that
-- wait now are given others.
DROP TABLE challenge;
CREATE TABLE challenge (
    host_uid TEXT PRIMARY KEY REFERENCES host (uid) ON DELETE CASCADE,
    -- keyed hash of the code, by which it is found
    code_hash TEXT NOT NULL UNIQUE,
    -- code and number, sealed
    shown TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- wrong numbers since the number was drawn
    tries BIGINT NOT NULL
);
