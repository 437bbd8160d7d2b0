-- Machines that opened a session with a host's key, told apart by the digest of their hardware.
CREATE TABLE machine (
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    hardware TEXT NOT NULL,
    -- What people know it by, in its own words.
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    -- 1 for the one that an operator chose: no other one may use the key then.
    chosen BIGINT NOT NULL,
    PRIMARY KEY (host_uid, hardware)
);

-- Each enroll looks for those who wait too long, and counts the rest.
CREATE INDEX host_by_state ON host (state, created_at);
