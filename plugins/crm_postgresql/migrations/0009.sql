-- Version 9. Units that touch different documents are written together: a commit with fewer statements.

-- When the claim that expires first does, or before that: only then a unit looks for claims to forget. NULL: none does.
ALTER TABLE crm.stores ADD COLUMN expires bigint DEFAULT 0;

-- Why a unit's expectations do not hold, as [what, number of the expectation, ""]; NULL if they do.
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
            v_ok := s.revision = (e->>1)::bigint;
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

-- As crm.refusal, of units that expect nothing but the workspace and documents: {number of the unit: refusal}.
CREATE FUNCTION crm.refusals(s crm.stores, p_units jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(r.n - 1, r.refusal) FROM (
        SELECT DISTINCT ON (u.n) u.n, jsonb_build_array(e.value->0, e.at - 1, '') AS refusal
        FROM jsonb_array_elements(p_units) WITH ORDINALITY u(value, n)
        CROSS JOIN LATERAL jsonb_array_elements(u.value->'expect') WITH ORDINALITY e(value, at)
        LEFT JOIN LATERAL (SELECT o.revision FROM crm.documents o WHERE o.tenant = s.tenant
                           AND o.collection = e.value->>1 AND o.id = e.value->>2 OFFSET 0) d ON true
        WHERE CASE e.value->>0 WHEN 'workspace' THEN (e.value->>1)::bigint <> s.revision
                               WHEN 'document' THEN (e.value->>3)::bigint <> coalesce(d.revision, 0)
                               ELSE d.revision IS NULL END
        ORDER BY u.n, e.at) r);
END $$;

-- Make a unit's claims if all of them are new; whether they were made.
CREATE FUNCTION crm.claimed(p_tenant text, p_claims jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.claims
    SELECT p_tenant, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5 FROM jsonb_array_elements(p_claims) c
    WHERE NOT EXISTS (
        SELECT FROM jsonb_array_elements(p_claims) a
        LEFT JOIN LATERAL (SELECT true AS found FROM crm.claims k WHERE k.tenant = p_tenant AND k.kind = a->>0
                           AND k.key = a->>1 OFFSET 0) k ON true
        LEFT JOIN LATERAL (SELECT f.stamp FROM crm.forgotten f WHERE f.tenant = p_tenant AND f.kind = a->>0
                           OFFSET 0) f ON true
        WHERE k.found OR (a->>4)::bigint <= f.stamp);
    RETURN FOUND;
END $$;

-- Delete claims: [[kind, key, ...]].
CREATE FUNCTION crm.release(p_tenant text, p_claims jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_claims) - 1 LOOP
        DELETE FROM crm.claims WHERE tenant = p_tenant AND kind = p_claims->n->>0 AND key = p_claims->n->>1;
    END LOOP;
END $$;

-- Delete the documents of a unit; what to count of each: [[collection, null, names of its indexes]].
CREATE FUNCTION crm.delete_documents(p_tenant text, p_deletes jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_old crm.documents;
    v_counts jsonb := '[]';
    v_done text;
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_deletes) - 1 LOOP
        DELETE FROM crm.documents WHERE tenant = p_tenant AND collection = p_deletes->n->>0 AND id = p_deletes->n->>1
        RETURNING * INTO v_old;
        IF v_old.id IS NOT NULL THEN
            IF v_old.indexes <> '{}' THEN
                v_done := crm.unindex(p_tenant, v_old.collection, v_old.id, v_old.indexes, '{}');
            END IF;
            v_counts := v_counts || jsonb_build_array(
                jsonb_build_array(v_old.collection, NULL, crm.names(v_old.indexes)));
        END IF;
    END LOOP;
    RETURN v_counts;
END $$;

-- Put the documents of units, each once, with their keys. p_counts: what to count, those that are deleted included.
CREATE FUNCTION crm.put_documents(p_tenant text, p_units jsonb, INOUT p_counts jsonb, OUT p_revisions bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    v_gone crm.keys[];
    v_counts jsonb;
    k crm.keys;
BEGIN
    WITH puts AS MATERIALIZED (
        SELECT u.n, p.at, p.value->>0 AS collection, p.value->>1 AS id, p.value->>2 AS body, p.value->3 AS indexes,
            d.indexes AS old, greatest(d.revision, (p.value->>4)::bigint) + 1 AS revision
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
            FILTER (WHERE p.old IS NULL OR crm.names(p.old) <> crm.names(p.indexes)),
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

-- Count documents: [[collection, names of the indexes of one more, names of the indexes of one less]].
DROP FUNCTION crm.counted;
CREATE FUNCTION crm.counted(p_tenant text, p_counts jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.collections SELECT p_tenant, c->>0, n.names, sum(n.more)
    FROM jsonb_array_elements(p_counts) c CROSS JOIN LATERAL (VALUES (c->>1, 1), (c->>2, -1)) n(names, more)
    WHERE n.names IS NOT NULL GROUP BY c->>0, n.names HAVING sum(n.more) <> 0
    ON CONFLICT (tenant, collection, names) DO UPDATE SET documents = collections.documents + excluded.documents;
END $$;

-- Put the documents of a unit one after the other, each with few statements, which costs less as long as they are few.
CREATE FUNCTION crm.put_few(p_tenant text, p_puts jsonb, INOUT p_counts jsonb, OUT p_revisions bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_old crm.documents;
    v_revision bigint;
    v_names text;
    v_old_names text;
    v_done text;  -- assigned, since PERFORM is a query
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_puts) - 1 LOOP
        e := p_puts->n;
        SELECT * INTO v_old FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1;
        v_revision := greatest(v_old.revision, (e->>4)::bigint) + 1;
        v_done := crm.write(p_tenant, e->>0, e->>1, v_revision, e->>2, e->3, v_old.indexes);
        p_revisions := p_revisions || v_revision;
        v_names := crm.names(e->3);
        v_old_names := crm.names(v_old.indexes);
        IF v_old_names IS DISTINCT FROM v_names THEN
            p_counts := p_counts || jsonb_build_array(jsonb_build_array(e->0, v_names, v_old_names));
        END IF;
    END LOOP;
END $$;

-- Delete and put the documents of units; the revisions of the puts, in their order. In several units, and in one with
-- many puts, no document is put twice.
DROP FUNCTION crm.write_documents;
CREATE FUNCTION crm.write_documents(p_tenant text, p_units jsonb) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    u jsonb := p_units->0;
    v_counts jsonb := '[]';
    v_revisions bigint[];
    v_done text;
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_units) - 1 LOOP
        IF p_units->n->'deletes' <> '[]' THEN
            v_counts := v_counts || crm.delete_documents(p_tenant, p_units->n->'deletes');
        END IF;
    END LOOP;
    IF jsonb_array_length(p_units) > 1 OR jsonb_array_length(u->'puts') > 4 AND NOT u ? 'repeats' THEN
        SELECT * INTO v_counts, v_revisions FROM crm.put_documents(p_tenant, p_units, v_counts);
    ELSIF u->'puts' <> '[]' THEN
        SELECT * INTO v_counts, v_revisions FROM crm.put_few(p_tenant, u->'puts', v_counts);
    END IF;
    IF v_counts <> '[]' THEN
        v_done := crm.counted(p_tenant, v_counts);
    END IF;
    RETURN v_revisions;
END $$;

-- Link entries into the chain; the store with its new head.
CREATE OR REPLACE FUNCTION crm.write_log(s crm.stores, p_entries jsonb) RETURNS crm.stores LANGUAGE plpgsql AS $$
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

-- Add the changes of units to the change log; the store with its newest place. An erased record's earlier entries are
-- redacted, and the evidence of claims about it.
DROP FUNCTION crm.write_changes;
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

-- Why a unit cannot be committed, as crm.claim_refusal and crm.refusal say it. NULL if it can: its claims are made then.
CREATE FUNCTION crm.admit(s crm.stores, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := u->'now';
    v_due boolean := s.expires < v_now IS TRUE;
    v_claims boolean := u->'claims' <> '[]';
    v_made boolean := false;
    v_refused jsonb;
BEGIN
    IF v_claims THEN
        IF u ? 'distinct' AND NOT v_due THEN  -- most are new, and made by one statement
            v_made := crm.claimed(s.tenant, u->'claims');
        END IF;
        IF NOT v_made THEN
            v_refused := crm.claim_refusal(s.tenant, u);
        END IF;
    END IF;
    IF v_refused IS NULL THEN
        v_refused := crm.refusal(s, u);
        IF v_made AND v_refused IS NOT NULL THEN
            PERFORM crm.release(s.tenant, u->'claims');
        END IF;
    END IF;
    IF v_made OR v_refused IS NOT NULL THEN
        RETURN v_refused;
    END IF;
    IF u->'releases' <> '[]' THEN
        PERFORM crm.release(s.tenant, u->'releases');
    END IF;
    IF v_due THEN
        PERFORM crm.forget(s.tenant, v_now, u->'claims');
    END IF;
    IF v_claims THEN
        INSERT INTO crm.claims SELECT s.tenant, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5
        FROM jsonb_array_elements(u->'claims') c;
    END IF;
    RETURN NULL;
END $$;

-- Commit units in their order, in lists of those that are written together: in a list with several, each expects the
-- workspace and documents alone, and none reads or writes what one before it writes. For each unit
-- [seq, revision, head seq, head hash, document revisions], or why it was refused.
DROP FUNCTION crm.commit;
CREATE FUNCTION crm.commit(p_tenant text, p_lists jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    -- No plan depends on the arguments, and none is worth compiling, though PostgreSQL expects many rows of each function.
    v_set text := set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('jit', 'off', true);
    s crm.stores := crm.store(p_tenant, true);
    v_units jsonb;
    u jsonb;
    v_refused jsonb;  -- {number of the unit: refusal}
    v_left jsonb;
    v_now bigint;
    v_revisions bigint[];
    v_at integer;
    v_puts integer;
    v_outcomes text := '';
BEGIN
    FOR l IN 0 .. jsonb_array_length(p_lists) - 1 LOOP
        v_units := p_lists->l;
        u := v_units->0;
        IF jsonb_array_length(v_units) = 1 THEN
            v_refused := crm.admit(s, u);
            v_refused := CASE WHEN v_refused IS NOT NULL THEN jsonb_build_object('0', v_refused) END;
        ELSE
            v_refused := crm.refusals(s, v_units);
        END IF;
        v_left := v_units;
        IF v_refused IS NOT NULL THEN
            v_left := (SELECT coalesce(jsonb_agg(e.value ORDER BY e.n), '[]')
                       FROM jsonb_array_elements(v_units) WITH ORDINALITY e(value, n)
                       WHERE NOT v_refused ? (e.n - 1)::text);
        END IF;
        IF v_left <> '[]' THEN
            v_now := (v_left->-1->>'now')::bigint;
            IF s.expires < v_now THEN
                IF jsonb_array_length(v_units) > 1 THEN
                    PERFORM crm.forget(p_tenant, v_now, '[]');
                END IF;
                s.expires := (SELECT min(expires) FROM crm.claims WHERE tenant = p_tenant AND expires IS NOT NULL);
            END IF;
            v_revisions := crm.write_documents(p_tenant, v_left);
            s := crm.write_changes(s, v_left);
        END IF;
        v_at := 0;
        FOR n IN 0 .. jsonb_array_length(v_units) - 1 LOOP
            IF v_refused ? n::text THEN
                v_outcomes := concat(v_outcomes, ',', v_refused->n::text);
                CONTINUE;
            END IF;
            u := v_units->n;
            v_puts := jsonb_array_length(u->'puts');
            s.expires := least(s.expires, (u->>'expires')::bigint);
            IF u->'entries' <> '[]' THEN
                s := crm.write_log(s, u->'entries');
            END IF;
            s.seq := s.seq + 1;
            s.revision := s.revision + (u->>'revises')::bigint;
            v_outcomes := concat(v_outcomes, ',[', s.seq, ',', s.revision, ',', s.head_seq, ',"', s.head_hash, '",[',
                                 array_to_string(v_revisions[v_at + 1 : v_at + v_puts], ','), ']]');
            v_at := v_at + v_puts;
        END LOOP;
    END LOOP;
    UPDATE crm.stores SET seq = s.seq, revision = s.revision, head_seq = s.head_seq, head_hash = s.head_hash,
        newest = s.newest, expires = s.expires WHERE tenant = p_tenant;
    RETURN concat('[', substr(v_outcomes, 2), ']');
END $$;

-- As before, but that all documents are counted together.
CREATE OR REPLACE FUNCTION crm.reindex(p_tenant text, p_documents jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    e jsonb;
    v_old crm.documents;
    v_counts jsonb := '[]';
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(p_documents) LOOP
        SELECT * INTO v_old FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1;
        IF v_old.revision = (e->>2)::bigint THEN
            PERFORM crm.write(p_tenant, e->>0, e->>1, v_old.revision, e->>3, e->4, v_old.indexes);
            v_counts := v_counts || jsonb_build_array(
                jsonb_build_array(v_old.collection, crm.names(e->4), crm.names(v_old.indexes)));
        END IF;
    END LOOP;
    PERFORM crm.counted(p_tenant, v_counts);
END $$;
