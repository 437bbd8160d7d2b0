-- Signed releases. A counter is used once for a profile; a version may be signed again with a higher one.
CREATE TABLE signed_release (
    profile TEXT NOT NULL,
    counter BIGINT NOT NULL,
    version TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- thumbprint of the key
    signer TEXT NOT NULL,
    -- of the signed bytes
    digest TEXT NOT NULL,
    -- JSON
    envelope TEXT NOT NULL,
    imported_at BIGINT NOT NULL,
    imported_by TEXT NOT NULL,
    PRIMARY KEY (profile, counter)
);
CREATE INDEX signed_release_by_version ON signed_release (profile, version, counter);
