-- Version 12. A unit that was made for the workspace as it was seen last: it names the epoch, and its refusal writes nothing.

-- As before, but that the workspace may be expected in an epoch: ["workspace", revision, epoch or ""].
CREATE OR REPLACE FUNCTION crm.refusal(s crm.stores, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_expect jsonb := u->'expect';
    v_ok boolean;
BEGIN
    FOR n IN 0 .. jsonb_array_length(v_expect) - 1 LOOP
        e := v_expect->n;
        CASE e->>0
        WHEN 'workspace' THEN
            v_ok := s.revision = (e->>1)::bigint AND e->>2 IN ('', s.epoch);
        WHEN 'document' THEN
            v_ok := coalesce((SELECT revision FROM crm.documents WHERE tenant = s.tenant AND collection = e->>1
                              AND id = e->>2), 0) = (e->>3)::bigint;
        WHEN 'exists' THEN
            v_ok := EXISTS (SELECT FROM crm.documents WHERE tenant = s.tenant AND collection = e->>1 AND id = e->>2);
        WHEN 'index' THEN
            v_ok := NOT EXISTS (SELECT FROM crm.keys WHERE tenant = s.tenant AND collection = e->>1 AND name = e->>2
                                AND key = crm.cut(e->>3) AND id <> e->>4 AND id <> ALL (ARRAY(
                SELECT d->>1 FROM jsonb_array_elements(u->'deletes') d WHERE d->>0 = e->>1)));
        ELSE
            v_ok := crm.size(s.tenant, e->>1) + crm.growth(s.tenant, e->>1, u) <= (e->>2)::bigint;
        END CASE;
        IF NOT v_ok THEN
            RETURN jsonb_build_array(e->0, n, '');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- As before, with the epoch.
CREATE OR REPLACE FUNCTION crm.refusals(s crm.stores, p_units jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(r.n - 1, r.refusal) FROM (
        SELECT DISTINCT ON (u.n) u.n, jsonb_build_array(e.value->0, e.at - 1, '') AS refusal
        FROM jsonb_array_elements(p_units) WITH ORDINALITY u(value, n)
        CROSS JOIN LATERAL jsonb_array_elements(u.value->'expect') WITH ORDINALITY e(value, at)
        LEFT JOIN LATERAL (SELECT o.revision FROM crm.documents o WHERE o.tenant = s.tenant
                           AND o.collection = e.value->>1 AND o.id = e.value->>2 OFFSET 0) d ON true
        WHERE CASE e.value->>0 WHEN 'workspace'
                               THEN (e.value->>1)::bigint <> s.revision OR e.value->>2 NOT IN ('', s.epoch)
                               WHEN 'document' THEN (e.value->>3)::bigint <> coalesce(d.revision, 0)
                               ELSE d.revision IS NULL END
        ORDER BY u.n, e.at) r);
END $$;

-- As before, but that the names of indexes, which a put has as an array, are only looked at where they are others.
CREATE OR REPLACE FUNCTION crm.put_documents(p_tenant text, p_units jsonb, INOUT p_counts jsonb, OUT p_revisions bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    v_gone crm.keys[];
    v_counts jsonb;
    k crm.keys;
BEGIN
    WITH puts AS MATERIALIZED (
        SELECT u.n, p.at, p.value->>0 AS collection, p.value->>1 AS id, p.value->>2 AS body, p.value->3 AS indexes,
            d.indexes AS old, greatest(d.revision, (p.value->>4)::bigint) + 1 AS revision,
            (d.indexes ?& (p.value->>6)::text[] AND d.indexes - (p.value->>6)::text[] = '{}') IS NOT TRUE AS recounted
        FROM jsonb_array_elements(p_units) WITH ORDINALITY u(value, n)
        CROSS JOIN LATERAL jsonb_array_elements(u.value->'puts') WITH ORDINALITY p(value, at)
        LEFT JOIN LATERAL (SELECT o.revision, o.indexes FROM crm.documents o WHERE o.tenant = p_tenant
                           AND o.collection = p.value->>0 AND o.id = p.value->>1 OFFSET 0) d ON true),
    written AS (
        INSERT INTO crm.documents SELECT p_tenant, collection, id, revision, body, indexes FROM puts
        ON CONFLICT (tenant, collection, id)
        DO UPDATE SET revision = excluded.revision, body = excluded.body, indexes = excluded.indexes),
    made AS (
        INSERT INTO crm.keys SELECT p_tenant, p.collection, i.name, i.key, p.id
        FROM puts p CROSS JOIN LATERAL crm.keys_of(p.indexes, coalesce(p.old, '{}')) i
        WHERE p.old IS DISTINCT FROM p.indexes)
    SELECT array_agg(p.revision ORDER BY p.n, p.at),
        jsonb_agg(jsonb_build_array(p.collection, crm.names(p.indexes), crm.names(p.old)))
            FILTER (WHERE p.recounted),
        (SELECT array_agg(ROW(p_tenant, g.collection, i.name, i.key, g.id)::crm.keys)
         FROM puts g CROSS JOIN LATERAL crm.keys_of(g.old, g.indexes) i WHERE g.old <> g.indexes)
    INTO p_revisions, v_counts, v_gone FROM puts p;
    IF v_gone IS NOT NULL THEN
        FOREACH k IN ARRAY v_gone LOOP  -- each by its whole key: no plan can look at more
            DELETE FROM crm.keys WHERE tenant = p_tenant AND collection = k.collection AND name = k.name AND key = k.key
                AND id = k.id;
        END LOOP;
    END IF;
    IF v_counts IS NOT NULL THEN
        p_counts := p_counts || v_counts;
    END IF;
END $$;

-- As before, but that the expectations come first, and that a refusal does not wait for the disk.
CREATE OR REPLACE FUNCTION crm.commit(p_tenant text, u jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_set text := concat(set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true),
                         set_config('crm.tenant', p_tenant, true), set_config('lock_timeout', '2500', true));
    s crm.stores;
    e jsonb;
    v_plain boolean;
    v_refused jsonb;
    v_due boolean;
    v_counts jsonb := '[]';
    v_revision bigint;
    v_some bigint[];
    v_revisions bigint[];
    v_text text;
    v_hash text;
    v_done text;  -- assigned, since PERFORM is a query
BEGIN
    SELECT * INTO s FROM crm.stores WHERE tenant = p_tenant FOR UPDATE;
    IF s.tenant IS NULL THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;

    -- Expectations, claims, releases. Most claims are new, and no other transaction makes any: this one has the lock.
    v_due := s.expires < (u->>'now')::bigint IS TRUE;
    v_plain := u ? 'distinct' AND ((u->>'stamp')::bigint <= s.forgotten) IS NOT TRUE;
    IF v_plain AND u->'expect' <> '[]' THEN
        e := u->'expect'->0;
        IF u->'expect'->1 IS NOT NULL OR e->>0 <> 'workspace' OR s.revision <> (e->>1)::bigint
           OR e->>2 NOT IN ('', s.epoch) THEN  -- a push expects nothing but the workspace
            v_refused := crm.refusal(s, u);
        END IF;
        IF v_refused IS NOT NULL THEN  -- a claim that fails is named first
            v_done := set_config('synchronous_commit', 'off', true);  -- nothing was written that the disk must have
            RETURN concat('[', coalesce(crm.claim_refusal(p_tenant, u), v_refused), ']');
        END IF;
    END IF;
    IF v_plain THEN
        FOR n IN 0 .. jsonb_array_length(u->'claims') - 1 LOOP
            e := u->'claims'->n;
            INSERT INTO crm.claims VALUES (p_tenant, e->>0, e->>1, e->>2, (e->>3)::bigint, (e->>4)::bigint, e->>5)
            ON CONFLICT (tenant, kind, key) DO NOTHING;
            IF NOT FOUND THEN
                v_plain := false;
                FOR made IN 0 .. n - 1 LOOP
                    v_done := crm.release(p_tenant, jsonb_build_array(u->'claims'->made));
                END LOOP;
                EXIT;
            END IF;
        END LOOP;
    END IF;
    IF NOT v_plain THEN
        v_refused := crm.admit(s, u);
        IF v_refused IS NOT NULL THEN
            v_done := set_config('synchronous_commit', 'off', true);
            RETURN concat('[', v_refused, ']');
        END IF;
    ELSIF u->'releases' <> '[]' THEN
        v_done := crm.release(p_tenant, u->'releases');
    END IF;
    IF v_due THEN
        IF v_plain THEN
            v_done := crm.forget(p_tenant, (u->>'now')::bigint, '[]');
        END IF;
        s := crm.without_forgotten(s);
    END IF;

    -- Documents.
    IF u->'deletes' <> '[]' THEN
        v_counts := crm.delete_documents(p_tenant, u->'deletes');
    END IF;
    IF jsonb_array_length(u->'puts') > 4 AND NOT u ? 'repeats' THEN
        SELECT * INTO v_counts, v_revisions FROM crm.put_documents(p_tenant, jsonb_build_array(u), v_counts);
    ELSE
        FOR n IN 0 .. jsonb_array_length(u->'puts') - 1 LOOP
            e := u->'puts'->n;
            v_revision := NULL;
            IF e->5 = 'true' THEN  -- it is new, or has no indexes that change
                INSERT INTO crm.documents VALUES (p_tenant, e->>0, e->>1, 1, e->>2, e->3)
                ON CONFLICT (tenant, collection, id) DO UPDATE SET revision = documents.revision + 1, body = excluded.body
                WHERE documents.indexes = excluded.indexes RETURNING revision INTO v_revision;
            END IF;
            IF v_revision IS NULL THEN
                SELECT * INTO v_counts, v_some FROM crm.put_few(p_tenant, jsonb_build_array(e), v_counts);
                v_revision := v_some[1];
            ELSIF v_revision = 1 THEN
                IF e->3 <> '{}' THEN
                    INSERT INTO crm.keys SELECT p_tenant, e->>0, k.name, k.key, e->>1 FROM crm.keys_of(e->3, '{}') k;
                END IF;
                v_counts := v_counts || jsonb_build_array(jsonb_build_array(e->0, crm.names(e->3), NULL));
            END IF;
            v_revisions := v_revisions || v_revision;
        END LOOP;
    END IF;
    IF v_counts <> '[]' THEN
        v_done := crm.counted(p_tenant, v_counts);
    END IF;

    -- The change log and the log.
    IF u ? 'erases' OR jsonb_array_length(u->'changes') > 1 THEN
        s := crm.write_changes(s, jsonb_build_array(u));
    ELSIF u->'changes' <> '[]' THEN
        e := u->'changes'->0;
        s.newest := s.newest + 1;
        INSERT INTO crm.changes VALUES (p_tenant, s.newest, e->>3, e->>0, e->>1, e->>2, e->>4);
    END IF;
    FOR n IN 0 .. jsonb_array_length(u->'entries') - 1 LOOP
        e := u->'entries'->n;
        s.head_seq := s.head_seq + 1;
        v_text := concat(e->>'before', s.head_seq, e->>'after');
        v_hash := encode(sha256(convert_to(concat(s.head_hash, E'\n', v_text), 'UTF8')), 'hex');
        INSERT INTO crm.log VALUES (
            p_tenant, s.head_seq, e->>'id', e->>'received_at', e->>'payload_type', e->>'status', e->>'signature_result',
            (e->>'key_version')::bigint, e->>'request_id', s.head_hash, v_hash, v_text);
        IF e->>'key_version' IS NOT NULL THEN
            UPDATE crm.key_uses SET uses = uses + 1, last_used_at = greatest(last_used_at, e->>'received_at')
            WHERE tenant = p_tenant AND key_version = (e->>'key_version')::bigint;
            IF NOT FOUND THEN
                INSERT INTO crm.key_uses VALUES (p_tenant, (e->>'key_version')::bigint, 1, e->>'received_at');
            END IF;
        END IF;
        s.head_hash := v_hash;
    END LOOP;

    s.seq := s.seq + 1;
    s.revision := s.revision + (u->>'revises')::bigint;
    UPDATE crm.stores SET seq = s.seq, revision = s.revision, head_seq = s.head_seq, head_hash = s.head_hash,
        newest = s.newest, expires = least(s.expires, (u->>'expires')::bigint), forgotten = s.forgotten
    WHERE tenant = p_tenant;
    RETURN concat('[[', s.seq, ',', s.revision, ',', s.head_seq, ',"', s.head_hash, '",[',
                  array_to_string(v_revisions, ','), ']]]');
END $$;
