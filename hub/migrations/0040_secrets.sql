-- User name and password of a listed registry, sealed with a key that lies beside the database.
CREATE TABLE registry_credential (
    host TEXT PRIMARY KEY REFERENCES registry (host) ON DELETE CASCADE,
    username TEXT NOT NULL,
    -- base 64 of nonce and ciphertext
    password TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
-- Grows with every change of a credential, so that one number tells a host whether it holds the newest.
INSERT INTO counter (name, value) VALUES ('credential', 0);

-- The administrator's kubeconfig of a host's cluster, sealed by the host to the hub's key.
CREATE TABLE kubeconfig (
    host_uid TEXT PRIMARY KEY REFERENCES host (uid) ON DELETE CASCADE,
    sealed TEXT NOT NULL,
    received_at BIGINT NOT NULL
);
