-- Version 8. One call for each read, a page is one text, a commit with fewer statements: each costs more than what it
-- does. A store is known to be full until something new fits again.

-- A tenant at one moment: [epoch, revision, seq, {seq, hash} of the head, [[place, revision, body]], [[place, evidence]],
-- sections]. Places begin with 1. The sections, [[id, revision, body]], are null if all of p_seen is this revision.
DROP FUNCTION crm.read;
DROP FUNCTION crm.view;
DROP FUNCTION crm.claim;
CREATE FUNCTION crm.read(p_tenant text, p_collections text[], p_ids text[], p_kinds text[], p_keys text[],
                         p_seen bigint[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_set text := set_config('plan_cache_mode', 'force_generic_plan', true);  -- no plan depends on the arguments
    s crm.stores := crm.seen(p_tenant);
    v_documents text;
    v_claims text;
    v_sections text;
BEGIN
    IF p_ids <> '{}' THEN
        v_documents := (SELECT string_agg(concat('[', a.at, ',', d.revision, ',', d.body, ']'), ',')
            FROM unnest(p_collections, p_ids) WITH ORDINALITY AS a(collection, id, at) CROSS JOIN LATERAL
                (SELECT * FROM crm.documents o WHERE o.tenant = p_tenant AND o.collection = a.collection AND o.id = a.id
                 OFFSET 0) d);
    END IF;
    IF p_keys <> '{}' THEN
        v_claims := (SELECT string_agg(concat('[', a.at, ',', to_json(c.evidence), ']'), ',')
            FROM unnest(p_kinds, p_keys) WITH ORDINALITY AS a(kind, key, at) CROSS JOIN LATERAL
                (SELECT * FROM crm.claims o WHERE o.tenant = p_tenant AND o.kind = a.kind AND o.key = a.key
                 OFFSET 0) c);
    END IF;
    IF s.revision <> ANY (p_seen) THEN
        v_sections := (SELECT concat('[', string_agg(concat('[', to_json(d.id), ',', d.revision, ',', d.body, ']'), ','
                                                     ORDER BY d.id), ']')
            FROM crm.documents d WHERE d.tenant = p_tenant AND d.collection = 'sections');
    END IF;
    RETURN concat('["', s.epoch, '",', s.revision, ',', s.seq, ',{"seq":', s.head_seq, ',"hash":"', s.head_hash, '"},[',
                  v_documents, '],[', v_claims, '],', coalesce(v_sections, 'null'), ']');
END $$;

-- As before, but without a query of its own: PostgreSQL would plan that at each call.
CREATE OR REPLACE FUNCTION crm.names(p_indexes jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_path_query_array(p_indexes, '$.keyvalue().key')::text
$$;

-- As before: assigned, since PERFORM is a query.
CREATE OR REPLACE FUNCTION crm.store(p_tenant text, p_lock boolean) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores;
    v_set text := set_config('crm.tenant', p_tenant, true) || set_config('lock_timeout', '2500', true);
BEGIN
    IF p_lock THEN
        SELECT * INTO s FROM crm.stores WHERE tenant = p_tenant FOR UPDATE;
    ELSE
        SELECT * INTO s FROM crm.stores WHERE tenant = p_tenant;
    END IF;
    IF s.tenant IS NULL THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;
    RETURN s;
END $$;

CREATE OR REPLACE FUNCTION crm.seen(p_tenant text) RETURNS crm.stores LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores;
    v_set text := set_config('crm.tenant', p_tenant, true);
BEGIN
    SELECT * INTO s FROM crm.stores WHERE tenant = p_tenant;
    IF s.tenant IS NULL THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;
    RETURN s;
END $$;

-- Why a unit's claims cannot be made, as crm.refusal says it; NULL if they can. Most are new, which one look finds.
CREATE FUNCTION crm.claim_refusal(p_tenant text, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := u->'now';
    v_claims jsonb := u->'claims';
    c jsonb;
    v_claim crm.claims;
    v_highest bigint;
BEGIN
    IF jsonb_array_length(v_claims) < 3 AND (v_claims->0->0 <> v_claims->1->0 OR v_claims->0->1 <> v_claims->1->1) IS NOT FALSE
       AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(v_claims) a
            LEFT JOIN LATERAL (SELECT true AS found FROM crm.claims k WHERE k.tenant = p_tenant AND k.kind = a->>0
                               AND k.key = a->>1 OFFSET 0) k ON true
            LEFT JOIN LATERAL (SELECT f.stamp FROM crm.forgotten f WHERE f.tenant = p_tenant AND f.kind = a->>0
                               OFFSET 0) f ON true
            WHERE k.found OR (a->>4)::bigint <= f.stamp) THEN
        RETURN NULL;
    END IF;
    FOR n IN 0 .. jsonb_array_length(v_claims) - 1 LOOP
        c := v_claims->n;
        FOR i IN 0 .. n - 1 LOOP
            IF v_claims->i->0 = c->0 AND v_claims->i->1 = c->1 THEN
                RETURN jsonb_build_array('claim', n, v_claims->i->2);
            END IF;
        END LOOP;
        SELECT * INTO v_claim FROM crm.claims
        WHERE tenant = p_tenant AND kind = c->>0 AND key = c->>1
          AND NOT (u->'releases') @> jsonb_build_array(jsonb_build_array(c->0, c->1));
        IF v_claim.expires IS NULL AND v_claim.tenant IS NOT NULL OR v_now <= v_claim.expires THEN
            RETURN jsonb_build_array('claim', n, v_claim.evidence);
        END IF;
        IF jsonb_typeof(c->4) = 'number' THEN
            SELECT stamp INTO v_highest FROM crm.forgotten WHERE tenant = p_tenant AND kind = c->>0;
            IF (c->>4)::bigint <= greatest(v_highest, v_claim.stamp) THEN
                RETURN jsonb_build_array('forgotten', n, '');
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- Why a unit cannot be committed, as [what, number of the claim or expectation, evidence]; NULL if it can.
CREATE OR REPLACE FUNCTION crm.refusal(s crm.stores, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_expect jsonb := u->'expect';
    v_ok boolean;
    v_refusal jsonb;
BEGIN
    IF u->'claims' <> '[]' THEN
        v_refusal := crm.claim_refusal(s.tenant, u);
        IF v_refusal IS NOT NULL THEN
            RETURN v_refusal;
        END IF;
    END IF;
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

-- The key as crm.keys has it: a long one is cut, and a hash of all of it follows.
CREATE OR REPLACE FUNCTION crm.cut(p_key text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN octet_length(p_key) <= 1800 THEN p_key
                ELSE left(p_key, 400) || encode(sha256(convert_to(p_key, 'UTF8')), 'hex') END;
END $$;

-- The keys of a document, as crm.keys has them, that it did not have with other indexes: [] is found as null is.
DROP FUNCTION crm.keys_of;
CREATE FUNCTION crm.keys_of(p_indexes jsonb, p_other jsonb) RETURNS TABLE (name text, key text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT i.key, CASE WHEN octet_length(k.key) <= 1800 THEN k.key ELSE crm.cut(k.key) END
    FROM jsonb_each(p_indexes) i,
        jsonb_array_elements_text(CASE WHEN i.value = '[]' THEN '["9"]' ELSE i.value END) k(key)
    WHERE i.value IS DISTINCT FROM p_other->i.key
      AND (CASE WHEN p_other->i.key = '[]' THEN '["9"]' ELSE p_other->i.key END ? k.key) IS NOT TRUE
$$;

-- Delete the keys of a document that it does not have with other indexes.
DROP FUNCTION crm.unindex;
CREATE FUNCTION crm.unindex(p_tenant text, p_collection text, p_id text, p_old jsonb, p_new jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM crm.keys_of(p_old, p_new) LOOP  -- each by its whole key: no plan can look at more
        DELETE FROM crm.keys k WHERE k.tenant = p_tenant AND k.collection = p_collection AND k.name = r.name
            AND k.key = r.key AND k.id = p_id;
    END LOOP;
END $$;

-- Count documents of a collection, by the names of their indexes, in or out.
DROP FUNCTION crm.counted;
CREATE FUNCTION crm.counted(p_tenant text, p_collection text, p_names text, p_more bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE crm.collections SET documents = documents + p_more
    WHERE tenant = p_tenant AND collection = p_collection AND names = p_names;
    IF NOT FOUND THEN
        INSERT INTO crm.collections VALUES (p_tenant, p_collection, p_names, p_more);
    END IF;
END $$;

-- Write a document with its keys.
CREATE OR REPLACE FUNCTION crm.write(p_tenant text, p_collection text, p_id text, p_revision bigint, p_body text,
                                     p_indexes jsonb, p_old jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_old IS NULL THEN
        INSERT INTO crm.documents VALUES (p_tenant, p_collection, p_id, p_revision, p_body, p_indexes);
        IF p_indexes <> '{}' THEN
            INSERT INTO crm.keys SELECT p_tenant, p_collection, k.name, k.key, p_id FROM crm.keys_of(p_indexes, '{}') k;
        END IF;
        RETURN;
    END IF;
    UPDATE crm.documents SET revision = p_revision, body = p_body, indexes = p_indexes
    WHERE tenant = p_tenant AND collection = p_collection AND id = p_id;
    IF p_old <> p_indexes THEN
        PERFORM crm.unindex(p_tenant, p_collection, p_id, p_old, p_indexes);
        INSERT INTO crm.keys SELECT p_tenant, p_collection, k.name, k.key, p_id FROM crm.keys_of(p_indexes, p_old) k;
    END IF;
END $$;

-- Delete the documents and write the puts of a unit; the revisions of the puts.
CREATE OR REPLACE FUNCTION crm.write_documents(p_tenant text, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_old crm.documents;
    v_revision bigint;
    v_revisions jsonb := '[]';
    v_counts jsonb := '{}';  -- {[collection, names]: how many more}
    v_count text;
    v_more bigint;
BEGIN
    FOR n IN 0 .. jsonb_array_length(u->'deletes') - 1 LOOP
        e := u->'deletes'->n;
        DELETE FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1
        RETURNING * INTO v_old;
        IF v_old.id IS NOT NULL THEN
            IF v_old.indexes <> '{}' THEN
                v_old.body := crm.unindex(p_tenant, v_old.collection, v_old.id, v_old.indexes, '{}');
            END IF;
            v_count := jsonb_build_array(v_old.collection, crm.names(v_old.indexes));
            v_counts := v_counts || jsonb_build_object(v_count, coalesce((v_counts->>v_count)::bigint, 0) - 1);
        END IF;
    END LOOP;
    FOR n IN 0 .. jsonb_array_length(u->'puts') - 1 LOOP
        e := u->'puts'->n;
        SELECT * INTO v_old FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1;
        v_revision := greatest(v_old.revision, (e->>4)::bigint) + 1;
        v_old.body := crm.write(p_tenant, e->>0, e->>1, v_revision, e->>2, e->3, v_old.indexes);
        v_revisions := v_revisions || to_jsonb(v_revision);
        IF v_old.id IS NULL OR crm.names(v_old.indexes) <> crm.names(e->3) THEN
            v_count := jsonb_build_array(e->0, crm.names(e->3));
            v_counts := v_counts || jsonb_build_object(v_count, coalesce((v_counts->>v_count)::bigint, 0) + 1);
            IF v_old.id IS NOT NULL THEN
                v_count := jsonb_build_array(e->0, crm.names(v_old.indexes));
                v_counts := v_counts || jsonb_build_object(v_count, coalesce((v_counts->>v_count)::bigint, 0) - 1);
            END IF;
        END IF;
    END LOOP;
    IF v_counts <> '{}' THEN
        FOR v_count, v_more IN SELECT * FROM jsonb_each_text(v_counts) WHERE value <> '0' LOOP
            PERFORM crm.counted(p_tenant, v_count::jsonb->>0, v_count::jsonb->>1, v_more);
        END LOOP;
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
            UPDATE crm.key_uses SET uses = uses + 1, last_used_at = greatest(last_used_at, e->>'received_at')
            WHERE tenant = s.tenant AND key_version = (e->>'key_version')::bigint;
            IF NOT FOUND THEN
                INSERT INTO crm.key_uses VALUES (s.tenant, (e->>'key_version')::bigint, 1, e->>'received_at');
            END IF;
        END IF;
        s.head_hash := v_hash;
    END LOOP;
    RETURN s;
END $$;

-- Add to the change log. An erased record's earlier entries are redacted, and the evidence of claims about it.
CREATE OR REPLACE FUNCTION crm.write_changes(s crm.stores, p_changes jsonb) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_changes) - 1 LOOP
        e := p_changes->n;
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

-- Commit units in their order. For each: [seq, revision, head seq, head hash, document revisions], or crm.refusal's.
CREATE OR REPLACE FUNCTION crm.commit(p_tenant text, p_units jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_set text := set_config('plan_cache_mode', 'force_generic_plan', true);
    s crm.stores := crm.store(p_tenant, true);
    u jsonb;
    v_expires bigint;  -- of the claim that expires first
    v_refused jsonb;
    v_revisions jsonb;
    v_outcomes jsonb := '[]';
BEGIN
    v_expires := (SELECT min(expires) FROM crm.claims WHERE tenant = p_tenant AND expires IS NOT NULL);
    FOR n IN 0 .. jsonb_array_length(p_units) - 1 LOOP
        u := p_units->n;
        v_refused := crm.refusal(s, u);
        IF v_refused IS NOT NULL THEN
            v_outcomes := v_outcomes || jsonb_build_array(v_refused);
            CONTINUE;
        END IF;
        FOR i IN 0 .. jsonb_array_length(u->'releases') - 1 LOOP
            DELETE FROM crm.claims WHERE tenant = p_tenant AND kind = u->'releases'->i->>0 AND key = u->'releases'->i->>1;
        END LOOP;
        IF v_expires < (u->>'now')::bigint THEN
            PERFORM crm.forget(p_tenant, (u->>'now')::bigint, u->'claims');
            v_expires := (SELECT min(expires) FROM crm.claims WHERE tenant = p_tenant AND expires IS NOT NULL);
        END IF;
        IF u->'claims' <> '[]' THEN
            INSERT INTO crm.claims SELECT p_tenant, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5
            FROM jsonb_array_elements(u->'claims') c;
            v_expires := least(v_expires, (SELECT min((c->>3)::bigint) FROM jsonb_array_elements(u->'claims') c));
        END IF;
        v_revisions := crm.write_documents(p_tenant, u);
        s := crm.write_log(s, u->'entries');
        s := crm.write_changes(s, u->'changes');
        s.seq := s.seq + 1;
        s.revision := s.revision + (u->>'revises')::bigint;
        v_outcomes := v_outcomes
            || jsonb_build_array(jsonb_build_array(s.seq, s.revision, s.head_seq, s.head_hash, v_revisions));
    END LOOP;
    UPDATE crm.stores SET seq = s.seq, revision = s.revision, head_seq = s.head_seq, head_hash = s.head_hash,
        newest = s.newest WHERE tenant = p_tenant;
    RETURN v_outcomes::text;
END $$;

-- Write documents of an earlier version again, with the same revisions: [[collection, id, revision, body, indexes]].
CREATE OR REPLACE FUNCTION crm.reindex(p_tenant text, p_documents jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    e jsonb;
    v_old crm.documents;
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(p_documents) LOOP
        SELECT * INTO v_old FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1;
        IF v_old.revision = (e->>2)::bigint THEN
            PERFORM crm.write(p_tenant, e->>0, e->>1, v_old.revision, e->>3, e->4, v_old.indexes);
            PERFORM crm.counted(p_tenant, e->>0, crm.names(v_old.indexes), -1), crm.counted(p_tenant, e->>0, crm.names(e->4), 1);
        END IF;
    END LOOP;
END $$;

-- Whether the tenant's store takes writes: a write that changes nothing. p_new: with rows, which are then undone.
DROP FUNCTION crm.probe;
CREATE FUNCTION crm.probe(p_tenant text, p_new boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
BEGIN
    IF p_new THEN
        INSERT INTO crm.attempts SELECT p_tenant, '', '', NULL, '', '', NULL, '', 0,
            string_agg(md5(random()::text), '') FROM generate_series(1, 1000);  -- does not compress
        RAISE EXCEPTION USING ERRCODE = 'CT001';
    END IF;
EXCEPTION WHEN SQLSTATE 'CT001' THEN
    NULL;
END $$;

-- A page: [epoch, revision, seq, total or null, [[id, revision, body, key], ...]]. The SQL names the tenant as $1 and its
-- texts as $2[n]; crm_postgresql/pages.py makes it.
--   p_probes: the ids that each condition finds. One that finds few is enough: p_few, in order, of the ids $3.
--   p_walks: all documents in order, one statement after the other. p_total: how many there are without a limit.
DROP FUNCTION crm.page;
CREATE FUNCTION crm.page(p_tenant text, p_collection text, p_limit bigint, p_probes text[], p_few text, p_walks text[],
                         p_total text, p_texts text[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
    -- What few may be: to look at m documents, or to walk until m of a collection's n documents have filled the page. Half
    -- of where both cost the same, since each page with a condition that finds many counts up to it.
    v_most bigint := ceil(sqrt(p_limit * crm.size(p_tenant, p_collection)) / 2);
    v_sql text;
    v_many boolean;
    v_ids text[];
    v_total bigint;
    v_items text[];
    v_more text[];
    v_left bigint;
BEGIN
    IF p_total IS NOT NULL THEN
        EXECUTE p_total INTO v_total USING p_tenant, p_texts;
    END IF;
    FOREACH v_sql IN ARRAY p_probes LOOP
        EXECUTE 'SELECT EXISTS (SELECT FROM (' || v_sql || ') x OFFSET $3)' INTO v_many USING p_tenant, p_texts, v_most;
        IF NOT v_many THEN
            EXECUTE 'SELECT array_agg(x.id) FROM (' || v_sql || ') x' INTO v_ids USING p_tenant, p_texts;
            p_walks := ARRAY[p_few];
            EXIT;
        END IF;
    END LOOP;
    FOREACH v_sql IN ARRAY p_walks LOOP
        v_left := p_limit - coalesce(cardinality(v_items), 0);
        EXIT WHEN v_left <= 0;
        EXECUTE 'SELECT array_agg(concat(''['', to_json(x.id), '','', x.revision, '','', x.body, '','', to_json(x.key), '']''))'
                ' FROM (' || v_sql || ' LIMIT ' || v_left || ') x(id, revision, body, key)'
        INTO v_more USING p_tenant, p_texts, v_ids;
        v_items := v_items || v_more;
    END LOOP;
    RETURN concat('["', s.epoch, '",', s.revision, ',', s.seq, ',', coalesce(v_total::text, 'null'), ',[',
                  array_to_string(v_items, ','), ']]');
END $$;

-- Documents of a collection after an id: [id of the last, [body, ...]]; the id is null if there are none.
CREATE FUNCTION crm.scan(p_tenant text, p_collection text, p_after text, p_limit bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_set text := set_config('plan_cache_mode', 'force_generic_plan', true);
    s crm.stores := crm.seen(p_tenant);
BEGIN
    RETURN (SELECT concat('[', coalesce(to_json(max(x.id))::text, 'null'), ',[', string_agg(x.body, ','), ']]')
            FROM (SELECT d.id, d.body FROM crm.documents d WHERE d.tenant = p_tenant AND d.collection = p_collection
                  AND d.id > p_after ORDER BY d.id LIMIT p_limit) x);
END $$;
