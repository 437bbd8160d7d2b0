-- Hosts that an operator announced: by host ID, UUID, serial or key.
CREATE TABLE preauth (
    id TEXT PRIMARY KEY,
    -- host_id, uuid, serial, key
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    -- What the operator read of the key on the host's screen; empty: it is confirmed later.
    confirmed_key TEXT NOT NULL,
    profile TEXT,
    labels TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- The host that it let in.
    host_uid TEXT
);
CREATE INDEX preauth_by_value ON preauth (value, kind);

-- Who scanned a link or typed a code.
CREATE TABLE claim (
    key_label TEXT NOT NULL,
    account TEXT NOT NULL,
    host_id TEXT NOT NULL,
    -- qr, code
    kind TEXT NOT NULL,
    -- 1 when the hub had not heard of the host.
    provisional BIGINT NOT NULL,
    -- 1 when no number is asked for.
    waived BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (key_label, account)
);

-- What stands on the screen of a pending host.
CREATE TABLE challenge (
    host_uid TEXT PRIMARY KEY REFERENCES host (uid) ON DELETE CASCADE,
    code TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    number BIGINT NOT NULL,
    -- Wrong numbers since the number was drawn.
    tries BIGINT NOT NULL
);

-- Wrong codes and numbers, for the limit of an account.
CREATE TABLE guess (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    made_at BIGINT NOT NULL
);
CREATE INDEX guess_by_account ON guess (account, made_at);

-- By what a host was accepted.
CREATE TABLE admission (
    host_uid TEXT PRIMARY KEY REFERENCES host (uid) ON DELETE CASCADE,
    -- token, host_id, uuid, serial, key, qr, code, approval
    matcher TEXT NOT NULL,
    -- Id of the token or preauth; for a claim `provisional` when no number was asked for.
    detail TEXT NOT NULL,
    -- Who gave the matcher.
    actor TEXT NOT NULL,
    made_at BIGINT NOT NULL
);
