-- Accounts of people whom an identity provider knows. They have no password here.
ALTER TABLE person ADD COLUMN issuer TEXT;
ALTER TABLE person ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX person_by_subject ON person (issuer, subject);

-- Logins that are on their way over the provider. The secret that state, nonce and proof are made
-- of is in the browser only.
CREATE TABLE sign_in (
    id_hash TEXT PRIMARY KEY,
    next TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
