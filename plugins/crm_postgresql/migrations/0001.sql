-- Version 1. A row names its tenant as INSTANCE/NAME, first in every key; crm.tenants alone lists tenants.

CREATE TABLE crm.tenants (
    instance text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    log_from text COLLATE "C" NOT NULL DEFAULT '',      -- no log entry received before this time is retained
    changes_from text COLLATE "C" NOT NULL DEFAULT '',  -- no change made before this time is retained
    PRIMARY KEY (instance, name)
);

-- The row that orders a tenant's units: a unit locks it, so seq, chain, change log and revision agree.
CREATE TABLE crm.stores (
    tenant text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    head_seq bigint NOT NULL DEFAULT 0,
    head_hash text NOT NULL DEFAULT repeat('0', 64),
    anchor_seq bigint NOT NULL DEFAULT 0,
    anchor_hash text NOT NULL DEFAULT repeat('0', 64),
    epoch text NOT NULL,
    oldest bigint NOT NULL DEFAULT 0,
    newest bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 25);

CREATE TABLE crm.documents (
    tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    body text NOT NULL,
    indexes jsonb NOT NULL,  -- {index: [key, ...]}
    PRIMARY KEY (tenant, collection, id)
);

CREATE TABLE crm.keys (
    tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, collection, name, key, id)
);

-- How many documents a collection has, by the names of their indexes.
CREATE TABLE crm.collections (
    tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    names text COLLATE "C" NOT NULL,
    documents bigint NOT NULL,
    PRIMARY KEY (tenant, collection, names)
) WITH (fillfactor = 50);

CREATE TABLE crm.claims (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    evidence text NOT NULL,
    expires bigint,
    stamp bigint,
    subject text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, kind, key)
);
CREATE INDEX claims_expiry ON crm.claims (tenant, expires) WHERE expires IS NOT NULL;
CREATE INDEX claims_subject ON crm.claims (tenant, subject) WHERE subject <> '';

CREATE TABLE crm.forgotten (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    stamp bigint NOT NULL,
    PRIMARY KEY (tenant, kind)
);

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

CREATE TABLE crm.attempts (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    received_at text COLLATE "C" NOT NULL,
    payload_type text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    signature_result text COLLATE "C" NOT NULL,
    key_version bigint,
    request_id text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    entry text NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE crm.key_uses (
    tenant text COLLATE "C" NOT NULL,
    key_version bigint NOT NULL,
    uses bigint NOT NULL,
    last_used_at text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, key_version)
) WITH (fillfactor = 50);

CREATE TABLE crm.changes (
    tenant text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    at text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    change text COLLATE "C" NOT NULL,
    entry text NOT NULL,
    PRIMARY KEY (tenant, place, at)
) PARTITION BY RANGE (at);
CREATE INDEX changes_record ON crm.changes (tenant, type, id, place) WHERE id <> '';
CREATE TABLE crm.changes_rest PARTITION OF crm.changes DEFAULT;

-- No table shows or accepts rows of another tenant than the transaction's. A rename has two: the old and the new name.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['stores', 'documents', 'keys', 'collections', 'claims', 'forgotten', 'log', 'log_rest',
                             'attempts', 'key_uses', 'changes', 'changes_rest'] LOOP
        EXECUTE format('ALTER TABLE crm.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON crm.%I USING (tenant IN (current_setting(''crm.tenant'', true), '
                       'current_setting(''crm.new_name'', true)))', t);
    END LOOP;
END $$;
