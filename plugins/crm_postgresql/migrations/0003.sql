-- Version 3. Reads and the rest of a store's calls, each one statement.

CREATE FUNCTION crm.view(p_tenant text, p_seen bigint)
RETURNS TABLE (revision bigint, seq bigint, head_seq bigint, head_hash text, id text, of bigint, body text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    IF s.revision = p_seen THEN
        RETURN QUERY SELECT s.revision, s.seq, s.head_seq, s.head_hash, NULL::text, NULL::bigint, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT s.revision, s.seq, s.head_seq, s.head_hash, d.id, d.revision, d.body
        FROM (VALUES (1)) AS one LEFT JOIN crm.documents d ON d.tenant = p_tenant AND d.collection = 'sections'
        ORDER BY d.id;
END $$;

CREATE FUNCTION crm.get(p_tenant text, p_collection text, p_id text)
RETURNS TABLE (workspace bigint, id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    SELECT d.id, d.revision, d.body INTO id, revision, body FROM crm.documents d
    WHERE d.tenant = p_tenant AND d.collection = p_collection AND d.id = p_id;
    workspace := s.revision;
    RETURN NEXT;
END $$;

CREATE FUNCTION crm.find(p_tenant text, p_collection text, p_name text, p_key text)
RETURNS TABLE (workspace bigint, id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
    v_id text;
BEGIN
    SELECT k.id INTO v_id FROM crm.keys k WHERE k.tenant = p_tenant AND k.collection = p_collection
        AND k.name = p_name AND k.key = crm.cut(p_key) ORDER BY k.id LIMIT 1;
    IF p_key = '9' AND crm.lacks(p_tenant, p_collection, p_name) THEN
        v_id := least(v_id, (SELECT min(d.id) FROM crm.documents d WHERE d.tenant = p_tenant
                             AND d.collection = p_collection AND NOT d.indexes ? p_name) COLLATE "C");
    END IF;
    RETURN QUERY SELECT g.* FROM crm.get(p_tenant, p_collection, v_id) g;
END $$;

CREATE FUNCTION crm.count(p_tenant text, p_collection text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    RETURN crm.size(p_tenant, p_collection);
END $$;

CREATE FUNCTION crm.collections(p_tenant text) RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    RETURN QUERY SELECT DISTINCT c.collection FROM crm.collections c WHERE c.tenant = p_tenant AND c.documents > 0
        ORDER BY 1;
END $$;

CREATE FUNCTION crm.documents(p_tenant text, p_collection text, p_limit bigint)
RETURNS TABLE (id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    RETURN QUERY SELECT d.id, d.revision, d.body FROM crm.documents d
        WHERE d.tenant = p_tenant AND d.collection = p_collection ORDER BY d.id LIMIT p_limit;
END $$;

CREATE FUNCTION crm.claim(p_tenant text, p_kind text, p_key text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    RETURN (SELECT evidence FROM crm.claims WHERE tenant = p_tenant AND kind = p_kind AND key = p_key);
END $$;

CREATE FUNCTION crm.seq(p_tenant text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (crm.store(p_tenant, false)).seq;
END $$;

-- Whether the tenant's store takes writes: a write that changes nothing.
CREATE FUNCTION crm.probe(p_tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.store(p_tenant, true);
END $$;

CREATE FUNCTION crm.changes(p_tenant text, p_after bigint, p_limit bigint)
RETURNS TABLE (epoch text, oldest bigint, newest bigint, seq bigint, revision bigint, place bigint, entry text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    IF p_after IS NULL OR p_after < s.oldest OR p_after >= s.newest THEN
        RETURN QUERY SELECT s.epoch, s.oldest, s.newest, s.seq, s.revision, NULL::bigint, NULL::text;
        RETURN;
    END IF;
    -- No more than 4 MiB of entries, unless a single one is longer.
    RETURN QUERY SELECT s.epoch, s.oldest, s.newest, s.seq, s.revision, x.place, x.entry FROM
        (SELECT c.place, c.entry, sum(octet_length(c.entry)) OVER (ORDER BY c.place) AS bytes FROM
            (SELECT h.place, h.entry FROM crm.changes h WHERE h.tenant = p_tenant AND h.place > p_after
             ORDER BY h.place LIMIT p_limit) c) x
        WHERE x.bytes <= 4194304 OR x.place = p_after + 1 ORDER BY x.place;
END $$;

CREATE FUNCTION crm.history(p_tenant text, p_type text, p_id text, p_before bigint, p_limit bigint)
RETURNS TABLE (place bigint, entry text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
    v_newest text;
BEGIN
    -- An erased record has no history: the entry that says so is its newest.
    SELECT c.change INTO v_newest FROM crm.changes c WHERE c.tenant = p_tenant AND c.type = p_type AND c.id = p_id
        AND c.id <> '' ORDER BY c.place DESC LIMIT 1;
    IF v_newest IS DISTINCT FROM 'erased' THEN
        RETURN QUERY SELECT c.place, c.entry FROM crm.changes c WHERE c.tenant = p_tenant AND c.type = p_type
            AND c.id = p_id AND c.id <> '' AND c.place > s.oldest AND (p_before IS NULL OR c.place < p_before)
            ORDER BY c.place DESC LIMIT p_limit;
    END IF;
END $$;

-- Write unverified attempts next to the chain; only the newest stay.
CREATE FUNCTION crm.note(p_tenant text, p_entries jsonb, p_limit bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    INSERT INTO crm.attempts SELECT p_tenant, e->>'id', e->>'received_at', e->>'payload_type', e->>'status',
        e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', (e->>'count')::bigint, e->>'entry'
    FROM jsonb_array_elements(p_entries) e
    ON CONFLICT (tenant, id) DO UPDATE SET received_at = excluded.received_at, payload_type = excluded.payload_type,
        status = excluded.status, signature_result = excluded.signature_result, key_version = excluded.key_version,
        request_id = excluded.request_id, count = excluded.count, entry = excluded.entry;
    DELETE FROM crm.attempts WHERE tenant = p_tenant AND id <=
        (SELECT id FROM crm.attempts WHERE tenant = p_tenant ORDER BY id DESC OFFSET p_limit LIMIT 1);
END $$;

-- The log, newest first. p_equals: [[member, value], ...].
CREATE FUNCTION crm.entries(p_tenant text, p_query jsonb)
RETURNS TABLE (id text, entry text, seq bigint, prev_hash text, entry_hash text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
    v_where text := '';
    v_limit bigint := p_query->'limit';
    v_verified text := p_query->>'verified';
    e jsonb;
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(p_query->'equals') LOOP
        IF e->>0 IN ('id', 'payload_type', 'status', 'signature_result', 'request_id') THEN
            v_where := v_where || format(' AND %I = %L', e->>0, e->>1);
        ELSE
            v_where := v_where || format(' AND entry::json->>%L = %L', e->>0, e->>1);
        END IF;
    END LOOP;
    v_where := v_where
        || coalesce(' AND received_at >= ' || quote_literal(p_query->>'since'), '')
        || coalesce(' AND received_at < ' || quote_literal(p_query->>'until'), '')
        || coalesce(' AND id < ' || quote_literal(p_query->>'after'), '');
    RETURN QUERY EXECUTE
        'SELECT * FROM ('
        '(SELECT id, entry, seq, prev_hash, entry_hash FROM crm.log WHERE tenant = $1 AND seq > $2 AND $3'
        || v_where || ' ORDER BY id DESC LIMIT $5) UNION ALL '
        '(SELECT id, entry, NULL, NULL, NULL FROM crm.attempts WHERE tenant = $1 AND $4'
        || v_where || ' ORDER BY id DESC LIMIT $5)) AS x(id, entry, seq, prev_hash, entry_hash)'
        ' ORDER BY id DESC LIMIT $5'
        USING p_tenant, s.anchor_seq, v_verified IS DISTINCT FROM 'false', v_verified IS DISTINCT FROM 'true', v_limit;
END $$;

-- Counts of the log: by status since a time, then by key version.
CREATE FUNCTION crm.tally(p_tenant text, p_since text)
RETURNS TABLE (status text, key_version bigint, number bigint, last_used_at text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    RETURN QUERY SELECT l.status, NULL::bigint, count(*), NULL::text FROM crm.log l
        WHERE l.tenant = p_tenant AND l.received_at >= p_since AND l.seq > s.anchor_seq GROUP BY 1;
    RETURN QUERY SELECT 'unverified', NULL::bigint, coalesce(sum(a.count), 0)::bigint, NULL::text FROM crm.attempts a
        WHERE a.tenant = p_tenant AND a.received_at >= p_since;
    RETURN QUERY SELECT NULL::text, k.key_version, k.uses, k.last_used_at FROM crm.key_uses k
        WHERE k.tenant = p_tenant;
END $$;

-- A part of the chain after a link, in order, with the anchor and the head.
CREATE FUNCTION crm.chain(p_tenant text, p_after bigint, p_limit bigint)
RETURNS TABLE (anchor_seq bigint, anchor_hash text, head_seq bigint, head_hash text, seq bigint, entry text,
               prev_hash text, entry_hash text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    RETURN QUERY SELECT s.anchor_seq, s.anchor_hash, s.head_seq, s.head_hash, l.seq, l.entry, l.prev_hash, l.entry_hash
        FROM (VALUES (1)) AS one LEFT JOIN LATERAL (SELECT * FROM crm.log g WHERE g.tenant = p_tenant
            AND g.seq > greatest(p_after, s.anchor_seq) ORDER BY g.seq LIMIT p_limit) l ON true ORDER BY l.seq;
END $$;
