-- What belongs together and to the same people. Everything of before is in `default`.
CREATE TABLE project (
    -- a-z, 0-9 and `-`
    name TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
INSERT INTO project (name, created_at, created_by) VALUES ('default', 0, '');

ALTER TABLE host ADD COLUMN project TEXT NOT NULL DEFAULT 'default';
ALTER TABLE token ADD COLUMN project TEXT NOT NULL DEFAULT 'default';
ALTER TABLE preauth ADD COLUMN project TEXT NOT NULL DEFAULT 'default';
-- Where the host lands.
ALTER TABLE claim ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

-- Whose a profile is. Its name is used once on a hub: hosts and release keys know it by the name.
CREATE TABLE profile (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES project (name)
);
INSERT INTO profile (name, project) SELECT DISTINCT name, 'default' FROM profile_version;

-- Roles in one project; those in all projects stand in `person` and `api_key`.
CREATE TABLE role_binding (
    -- person, key
    kind TEXT NOT NULL,
    -- name of the person, id of the key
    subject TEXT NOT NULL,
    project TEXT NOT NULL REFERENCES project (name),
    -- operator, technician, viewer
    role TEXT NOT NULL,
    PRIMARY KEY (kind, subject, project)
);
