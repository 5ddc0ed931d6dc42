-- The log, which is a chain, and the change log.

-- Link entries into the chain; the store with its new head.
CREATE FUNCTION crm.write_log(s crm.stores, p_entries jsonb) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_text text;
    v_hash text;
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_entries) - 1 LOOP
        e := p_entries->n;
        s.head_seq := s.head_seq + 1;
        v_text := (e->>'before') || s.head_seq || (e->>'after');
        v_hash := encode(sha256(convert_to(s.head_hash || E'\n' || v_text, 'UTF8')), 'hex');
        INSERT INTO crm.log VALUES (
            s.tenant, s.head_seq, e->>'id', e->>'received_at', e->>'payload_type', e->>'status',
            e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', s.head_hash, v_hash, v_text);
        IF e->>'key_version' IS NOT NULL THEN
            INSERT INTO crm.key_uses VALUES (s.tenant, (e->>'key_version')::bigint, 1, e->>'received_at')
            ON CONFLICT (tenant, key_version) DO UPDATE
            SET uses = key_uses.uses + 1, last_used_at = greatest(key_uses.last_used_at, excluded.last_used_at);
        END IF;
        s.head_hash := v_hash;
    END LOOP;
    RETURN s;
END $$;

-- Write unverified attempts next to the chain; only the newest p_limit stay. The lock lets other attempts pass, but
-- neither a removal nor a rename: attempts left behind would appear in the log of the next tenant of that name.
CREATE FUNCTION crm.note(p_tenant text, p_entries jsonb, p_limit bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    PERFORM 1 FROM crm.stores WHERE tenant = p_tenant FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;
    INSERT INTO crm.attempts SELECT p_tenant, e->>'id', e->>'received_at', e->>'payload_type', e->>'status',
        e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', (e->>'count')::bigint, e->>'entry'
    FROM jsonb_array_elements(p_entries) e
    ON CONFLICT (tenant, id) DO UPDATE SET received_at = excluded.received_at, payload_type = excluded.payload_type,
        status = excluded.status, signature_result = excluded.signature_result, key_version = excluded.key_version,
        request_id = excluded.request_id, count = excluded.count, entry = excluded.entry;
    DELETE FROM crm.attempts WHERE tenant = p_tenant AND id <=
        (SELECT id FROM crm.attempts WHERE tenant = p_tenant ORDER BY id DESC OFFSET p_limit LIMIT 1);
END $$;

-- The log with the attempts, newest first. p_query: equals, [[member, value], ...], limit, and since, until (times),
-- after (an id) and verified ("true": the chain alone, "false": attempts alone), which may be null.
CREATE FUNCTION crm.entries(p_tenant text, p_query jsonb)
RETURNS TABLE (id text, entry text, seq bigint, prev_hash text, entry_hash text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
    v_where text := '';
    v_limit bigint := p_query->'limit';
    v_verified text := p_query->>'verified';
    e jsonb;
    v_set text;
    v_after text;
    v_last text := U&'\+10FFFF';  -- after each id
BEGIN
    -- Without conditions its plan can be kept: to plan it, with all partitions, costs ten times as much as to run it.
    IF p_query->'equals' = '[]' AND coalesce(p_query->>'since', p_query->>'until') IS NULL THEN
        v_set := set_config('plan_cache_mode', 'force_generic_plan', true);
        v_after := coalesce(p_query->>'after', v_last);
        RETURN QUERY SELECT * FROM (
            (SELECT l.id, l.entry, l.seq, l.prev_hash, l.entry_hash FROM crm.log l
             WHERE l.tenant = p_tenant AND l.seq > s.anchor_seq AND l.id < v_after AND v_verified IS DISTINCT FROM 'false'
             ORDER BY l.id DESC LIMIT v_limit)
            UNION ALL
            (SELECT a.id, a.entry, NULL, NULL, NULL FROM crm.attempts a
             WHERE a.tenant = p_tenant AND a.id < v_after AND v_verified IS DISTINCT FROM 'true'
             ORDER BY a.id DESC LIMIT v_limit)) AS x(id, entry, seq, prev_hash, entry_hash)
            ORDER BY x.id DESC LIMIT v_limit;
        RETURN;
    END IF;
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

-- Counts of the log: by status since a time, then by version of the key.
CREATE FUNCTION crm.tally(p_tenant text, p_since text)
RETURNS TABLE (status text, key_version bigint, number bigint, last_used_at text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
BEGIN
    RETURN QUERY SELECT counted.status, NULL::bigint, sum(counted.number)::bigint, NULL::text FROM (
        SELECT l.status, count(*) AS number FROM crm.log l
            WHERE l.tenant = p_tenant AND l.received_at >= p_since AND l.seq > s.anchor_seq GROUP BY 1
        UNION ALL
        SELECT CASE WHEN a.status = 'failed' AND a.signature_result = 'valid' THEN 'failed' ELSE 'unverified' END,
            a.count FROM crm.attempts a
            WHERE a.tenant = p_tenant AND a.received_at >= p_since AND a.status NOT IN ('applied', 'unchanged')
    ) counted GROUP BY 1;
    RETURN QUERY SELECT NULL::text, k.key_version, k.uses, k.last_used_at FROM crm.key_uses k
        WHERE k.tenant = p_tenant;
END $$;

-- A part of the chain after an entry, in order, with the anchor and the head. If none follows: a row with those alone.
CREATE FUNCTION crm.chain(p_tenant text, p_after bigint, p_limit bigint)
RETURNS TABLE (anchor_seq bigint, anchor_hash text, head_seq bigint, head_hash text, seq bigint, entry text,
               prev_hash text, entry_hash text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
BEGIN
    RETURN QUERY SELECT s.anchor_seq, s.anchor_hash, s.head_seq, s.head_hash, l.seq, l.entry, l.prev_hash, l.entry_hash
        FROM (VALUES (1)) AS one LEFT JOIN LATERAL (SELECT * FROM crm.log g WHERE g.tenant = p_tenant
            AND g.seq > greatest(p_after, s.anchor_seq) ORDER BY g.seq LIMIT p_limit) l ON true ORDER BY l.seq;
END $$;

-- Add the changes of units to the change log; the store with its newest place. An erased record's earlier entries are
-- redacted, and the evidence of claims about it.
CREATE FUNCTION crm.write_changes(s crm.stores, p_units jsonb) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    v_changes jsonb := p_units->0->'changes';
    e jsonb;
    v_count bigint;
BEGIN
    IF jsonb_array_length(p_units) > 1 OR jsonb_array_length(v_changes) > 1 AND NOT p_units->0 ? 'erases' THEN
        INSERT INTO crm.changes
        SELECT s.tenant, s.newest + row_number() OVER (ORDER BY u.n, c.at), c.value->>3, c.value->>0, c.value->>1,
            c.value->>2, c.value->>4
        FROM jsonb_array_elements(p_units) WITH ORDINALITY u(value, n)
        CROSS JOIN LATERAL jsonb_array_elements(u.value->'changes') WITH ORDINALITY c(value, at);
        GET DIAGNOSTICS v_count = ROW_COUNT;
        s.newest := s.newest + v_count;
        RETURN s;
    END IF;
    FOR n IN 0 .. jsonb_array_length(v_changes) - 1 LOOP
        e := v_changes->n;
        IF e->>2 = 'erased' THEN
            UPDATE crm.changes SET entry = json_strip_nulls(json_build_object(
                'event', entry::json->'event', 'at', entry::json->'at', 'type', entry::json->'type',
                'id', entry::json->'id', 'revision', entry::json->'revision', 'change', entry::json->'change'))
            WHERE tenant = s.tenant AND type = e->>0 AND id = e->>1;
            UPDATE crm.claims SET evidence = 'null' WHERE tenant = s.tenant AND subject = e->>1 AND subject <> '';
        END IF;
        s.newest := s.newest + 1;
        INSERT INTO crm.changes VALUES (s.tenant, s.newest, e->>3, e->>0, e->>1, e->>2, e->>4);
    END LOOP;
    RETURN s;
END $$;

-- How many units were committed. Raises CT404 for an unknown tenant, as every call does.
CREATE FUNCTION crm.seq(p_tenant text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (crm.seen(p_tenant)).seq;
END $$;

-- The change log after a place, in order, with the store's counters in each row. If p_after is NULL, before the
-- oldest or at the newest: a row with those alone.
CREATE FUNCTION crm.changes(p_tenant text, p_after bigint, p_limit bigint)
RETURNS TABLE (epoch text, oldest bigint, newest bigint, seq bigint, revision bigint, place bigint, entry text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
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

-- The changes of a record before a place, newest first.
CREATE FUNCTION crm.history(p_tenant text, p_type text, p_id text, p_before bigint, p_limit bigint)
RETURNS TABLE (place bigint, entry text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
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

-- The times of the newest entries of the log and of the change log.
CREATE FUNCTION crm.newest(p_tenant text, OUT received_at text, OUT at text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
BEGIN
    received_at := (SELECT l.received_at FROM crm.log l WHERE l.tenant = p_tenant AND l.seq = s.head_seq);
    at := (SELECT c.at FROM crm.changes c WHERE c.tenant = p_tenant AND c.place = s.newest);
END $$;

-- Retain the first entry that is not before a time, and all after it; NULL: retain all. The anchor moves now, and
-- readers begin after it. The rows go with their partition, or one by one if another tenant still needs that forty days
-- later.
CREATE FUNCTION crm.retain(p_tenant text, p_log_from text, p_changes_from text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    v_first bigint;
BEGIN
    v_first := (SELECT min(seq) FROM crm.log WHERE tenant = p_tenant AND seq > s.anchor_seq
                AND received_at >= p_log_from);
    IF v_first > s.anchor_seq + 1 THEN
        s.anchor_seq := v_first - 1;
        UPDATE crm.stores SET anchor_seq = s.anchor_seq,
            anchor_hash = (SELECT prev_hash FROM crm.log WHERE tenant = p_tenant AND seq = v_first)
        WHERE tenant = p_tenant;
        DELETE FROM crm.key_uses WHERE tenant = p_tenant;
        INSERT INTO crm.key_uses SELECT tenant, key_version, count(*), max(received_at) FROM crm.log
        WHERE tenant = p_tenant AND seq > s.anchor_seq AND key_version IS NOT NULL GROUP BY 1, 2;
    END IF;
    v_first := (SELECT min(place) FROM crm.changes WHERE tenant = p_tenant AND place > s.oldest
                AND at >= p_changes_from);
    IF v_first > s.oldest + 1 THEN
        s.oldest := v_first - 1;
        UPDATE crm.stores SET oldest = s.oldest WHERE tenant = p_tenant;
    END IF;
    DELETE FROM crm.log WHERE tenant = p_tenant AND seq <= s.anchor_seq
        AND received_at < to_char((p_log_from::timestamptz AT TIME ZONE 'UTC') - interval '40 days', 'YYYY-MM-DD');
    DELETE FROM crm.changes WHERE tenant = p_tenant AND place <= s.oldest
        AND at < to_char((p_changes_from::timestamptz AT TIME ZONE 'UTC') - interval '40 days', 'YYYY-MM-DD');
END $$;
