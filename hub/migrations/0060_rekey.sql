-- Why the host shall change its identity key: asked, leaked or age; empty while it need not.
ALTER TABLE host ADD COLUMN rekey TEXT NOT NULL DEFAULT '';
