-- Whose database it is: a hub with other keys than these hosts trust must not answer for it.
CREATE TABLE owner (
    hub_id TEXT PRIMARY KEY
);
