-- The tables. crm_postgresql/schema.py makes the schema crm and crm.version, which has the schema's number.
--
-- A row of a tenant names it as INSTANCE/NAME, and that comes first in every key: no key, index or statement spans
-- tenants, so a distributed PostgreSQL can shard by tenant. Texts sort by code point (COLLATE "C"), as in Python and in
-- every other backend.

-- The only list of tenants.
CREATE TABLE crm.tenants (
    instance text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    log_from text COLLATE "C" NOT NULL DEFAULT '',      -- no longer used
    changes_from text COLLATE "C" NOT NULL DEFAULT '',  -- no longer used
    PRIMARY KEY (instance, name)
);

-- A tenant's counters. A unit locks this row, so the units of a tenant are in one order: sequence, chain, change log
-- and revision agree. Each unit writes the row again, so the fillfactor leaves space for that on the same page.
CREATE TABLE crm.stores (
    tenant text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0,                      -- how many units were committed
    revision bigint NOT NULL DEFAULT 0,                 -- of the workspace
    head_seq bigint NOT NULL DEFAULT 0,                 -- the newest entry of the log
    head_hash text NOT NULL DEFAULT repeat('0', 64),
    anchor_seq bigint NOT NULL DEFAULT 0,               -- the entry before the oldest that is retained
    anchor_hash text NOT NULL DEFAULT repeat('0', 64),
    epoch text NOT NULL,                                -- of the change log: new for each tenant that has the name
    oldest bigint NOT NULL DEFAULT 0,                   -- the place before the oldest change that is retained
    newest bigint NOT NULL DEFAULT 0,                   -- the place of the newest change
    -- When the first claim expires, or earlier: only then does a unit look for claims to forget. NULL: none expires.
    expires bigint DEFAULT 0,
    -- The highest stamp of any claim that was forgotten: only a claim at or below it is looked up in crm.forgotten.
    -- NULL: none was forgotten.
    forgotten bigint
) WITH (fillfactor = 25);

CREATE TABLE crm.documents (
    tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    body text NOT NULL,      -- JSON
    indexes jsonb NOT NULL,  -- {index: [key, ...]}: the values that queries name, as crm_postgresql/keys.py writes them
    PRIMARY KEY (tenant, collection, id)
);

-- The keys of all documents, by which queries find them. The column "name" is that of the index.
CREATE TABLE crm.keys (
    tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, collection, name, key, id)
);

-- How many documents a collection has, by the names of their indexes (a JSON array). Counting the rows would read all
-- of them, and the names show whether some have to be indexed again (crm.shapes).
CREATE TABLE crm.collections (
    tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    names text COLLATE "C" NOT NULL,
    documents bigint NOT NULL,
    PRIMARY KEY (tenant, collection, names)
) WITH (fillfactor = 50);

-- What may be used once: nonces, idempotency keys, refresh tokens. The primary key ensures it between processes too.
CREATE TABLE crm.claims (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    evidence text NOT NULL,             -- JSON about the first use
    expires bigint,                     -- Unix seconds after which it may be forgotten; NULL: never
    stamp bigint,                       -- the time that it is about, in Unix seconds
    subject text COLLATE "C" NOT NULL,  -- the record that the evidence is about; '': none
    PRIMARY KEY (tenant, kind, key)
);
CREATE INDEX claims_expiry ON crm.claims (tenant, expires) WHERE expires IS NOT NULL;
CREATE INDEX claims_subject ON crm.claims (tenant, subject) WHERE subject <> '';

-- The highest stamp of the forgotten claims of each kind. A claim at or below it is refused, for good: otherwise a
-- nonce could be used again once it is forgotten.
CREATE TABLE crm.forgotten (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    stamp bigint NOT NULL,
    PRIMARY KEY (tenant, kind)
);

-- The log: a chain in which each entry has the hash of the one before it. PostgreSQL wants the column that decides on
-- the partition in the primary key; seq alone is unique, since a unit locks the tenant's store.
CREATE TABLE crm.log (
    tenant text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    received_at text COLLATE "C" NOT NULL,
    payload_type text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    signature_result text COLLATE "C" NOT NULL,
    key_version bigint,
    request_id text COLLATE "C" NOT NULL,
    prev_hash text NOT NULL,
    entry_hash text NOT NULL,
    entry text NOT NULL,  -- the JSON that was hashed
    PRIMARY KEY (tenant, seq, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX log_id ON crm.log (tenant, id);
CREATE INDEX log_request ON crm.log (tenant, request_id);
CREATE INDEX log_time ON crm.log (tenant, received_at, status);
CREATE TABLE crm.log_rest PARTITION OF crm.log DEFAULT;

-- Attempts that failed verification, which the log shows too. Anyone can make them, so they are in no chain, and only
-- the newest are retained.
CREATE TABLE crm.attempts (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    received_at text COLLATE "C" NOT NULL,
    payload_type text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    signature_result text COLLATE "C" NOT NULL,
    key_version bigint,
    request_id text COLLATE "C" NOT NULL,
    count bigint NOT NULL,  -- of attempts that are alike: they share a row
    entry text NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- How often the retained log has each version of a signing key.
CREATE TABLE crm.key_uses (
    tenant text COLLATE "C" NOT NULL,
    key_version bigint NOT NULL,
    uses bigint NOT NULL,
    last_used_at text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, key_version)
) WITH (fillfactor = 50);

-- The change log: what the change feed and the history of a record show.
CREATE TABLE crm.changes (
    tenant text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    at text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,      -- of the record; '' if the change is of none
    change text COLLATE "C" NOT NULL,
    entry text NOT NULL,
    PRIMARY KEY (tenant, place, at)
) PARTITION BY RANGE (at);
CREATE INDEX changes_record ON crm.changes (tenant, type, id, place) WHERE id <> '';
CREATE TABLE crm.changes_rest PARTITION OF crm.changes DEFAULT;

-- The mark of an instance's store: that its tenants moved to another backend, or that a copy to it is not complete.
CREATE TABLE crm.marks (
    instance text COLLATE "C" PRIMARY KEY,
    mark bytea NOT NULL
);

-- The processes that serve an instance, each until a time by this database's clock. The schema is not migrated while
-- there are any.
CREATE TABLE crm.processes (
    instance text COLLATE "C" NOT NULL,
    process text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (instance, process)
);
