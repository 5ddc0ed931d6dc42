-- Version 11. The newest entries of the log, which most pages of the workspace show, with a plan that is kept.

-- The log, newest first. p_query->'equals': [[member, value], ...].
CREATE OR REPLACE FUNCTION crm.entries(p_tenant text, p_query jsonb)
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
