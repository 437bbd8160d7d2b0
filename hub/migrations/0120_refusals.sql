-- Requests of hosts that the hub refused, one row for each code, caller and host.
CREATE TABLE refusal (
    id TEXT PRIMARY KEY,
    code TEXT NOT NULL,
    -- What the host was told.
    message TEXT NOT NULL,
    -- As limits name a caller: an IPv4 address, or the /64 of an IPv6 one.
    address TEXT NOT NULL,
    -- Empty unless the caller proved that it has the key of this host.
    host_uid TEXT NOT NULL,
    -- What the caller said of itself; nothing of it was proven.
    said TEXT NOT NULL,
    -- Seconds after which the host was told to come back; none when that cannot help.
    retry_after BIGINT,
    times BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);
CREATE INDEX refusal_by_time ON refusal (last_at);
