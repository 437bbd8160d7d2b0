-- People with roles instead of the one admin. Logins of before end.
CREATE TABLE person (
    name TEXT PRIMARY KEY,
    -- admin, operator, technician, viewer
    role TEXT NOT NULL,
    -- argon2id, PHC string
    password TEXT NOT NULL,
    -- 1 while somebody else knows the password too
    must_change BIGINT NOT NULL,
    -- seed of one-time codes, sealed with a key beside the database
    totp TEXT,
    -- the last time step whose code was used
    totp_step BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);
INSERT INTO person (name, role, password, must_change, totp, totp_step, created_at, disabled_at)
    SELECT name, 'admin', password, 0, NULL, 0, 0, NULL FROM admin;
DROP TABLE admin;

DROP TABLE login;
CREATE TABLE login (
    id_hash TEXT PRIMARY KEY,
    person TEXT NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    -- code, password, whole
    stage TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- Wrong passwords in a row, by hash of the name that was typed: names that nobody has count too.
CREATE TABLE login_failure (
    name_hash TEXT PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    locked_until BIGINT NOT NULL
);

ALTER TABLE api_key ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';
