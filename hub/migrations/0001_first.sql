-- Times are milliseconds since 1970. JSON stands in TEXT columns and is never looked into by SQL.
CREATE TABLE token (
    id TEXT PRIMARY KEY,
    public_key TEXT NOT NULL,
    uses BIGINT NOT NULL,
    used BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    labels TEXT NOT NULL,
    networks TEXT NOT NULL,
    profile TEXT,
    requires_approval BIGINT NOT NULL
);

CREATE TABLE host (
    uid TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    host_id_source TEXT NOT NULL,
    -- pending, accepted, rejected, revoked, retired, quarantined
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    token_id TEXT,
    evidence TEXT NOT NULL,
    findings TEXT NOT NULL,
    labels TEXT NOT NULL,
    arch TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    accepted_at BIGINT,
    -- 1 once the host has synced with a key that outlives a power cut
    settled BIGINT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX host_by_id ON host (host_id, state);

CREATE TABLE host_key (
    thumbprint TEXT PRIMARY KEY,
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    public_key TEXT NOT NULL,
    -- active, replaced
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX host_key_by_host ON host_key (host_uid);

-- One replacement of a key per boot: the second row of a boot cannot be written.
CREATE TABLE replacement (
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    boot_id TEXT NOT NULL,
    thumbprint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (host_uid, boot_id)
);

CREATE TABLE host_live (
    host_uid TEXT PRIMARY KEY REFERENCES host (uid) ON DELETE CASCADE,
    seen_at BIGINT NOT NULL,
    phase TEXT NOT NULL,
    progress TEXT,
    observed TEXT NOT NULL,
    findings TEXT NOT NULL,
    etag TEXT,
    agent TEXT NOT NULL,
    mode TEXT NOT NULL,
    address TEXT NOT NULL
);

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    thumbprint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    sealing_key TEXT,
    boot_id TEXT NOT NULL,
    hardware_digest TEXT NOT NULL,
    key_store TEXT NOT NULL,
    mode TEXT NOT NULL,
    agent TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX session_by_host ON session (host_uid, opened_at);

CREATE TABLE event (
    number INTEGER PRIMARY KEY,
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (host_uid, id)
);

CREATE TABLE registry (
    host TEXT PRIMARY KEY,
    endpoint TEXT,
    plain_http BIGINT NOT NULL,
    ca TEXT NOT NULL,
    token_realm TEXT
);

CREATE TABLE profile_version (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    published_at BIGINT NOT NULL,
    digest TEXT NOT NULL,
    document TEXT NOT NULL,
    release TEXT NOT NULL,
    module_aliases TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE assignment (
    host_uid TEXT NOT NULL REFERENCES host (uid) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    profile TEXT NOT NULL,
    version TEXT NOT NULL,
    disk TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (host_uid, generation)
);

CREATE TABLE admin (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL
);

CREATE TABLE login (
    id_hash TEXT PRIMARY KEY,
    admin TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Who did what. Each row carries the hash of the one before it: a removed row is seen.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    time BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    hash TEXT NOT NULL
);
