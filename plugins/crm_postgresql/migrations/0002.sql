-- Version 2. crm.commit and its parts: a batch of units of one tenant in one transaction and one round trip.

-- The key as crm.keys has it: a long one is cut, and a hash of all of it follows.
CREATE FUNCTION crm.cut(p_key text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(p_key) <= 1800 THEN p_key
                ELSE left(p_key, 400) || encode(sha256(convert_to(p_key, 'UTF8')), 'hex') END
$$;

-- Limit the transaction to a tenant, and return its store, locked if a unit follows.
CREATE FUNCTION crm.store(p_tenant text, p_lock boolean) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores;
BEGIN
    PERFORM set_config('crm.tenant', p_tenant, true);
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

CREATE FUNCTION crm.size(p_tenant text, p_collection text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(sum(documents), 0) FROM crm.collections
            WHERE tenant = p_tenant AND collection = p_collection);
END $$;

-- Whether documents of a collection were put without an index.
CREATE FUNCTION crm.lacks(p_tenant text, p_collection text, p_name text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM crm.collections WHERE tenant = p_tenant AND collection = p_collection
                   AND documents > 0 AND NOT names::jsonb ? p_name);
END $$;

-- Why a unit cannot be committed, as [what, number of the claim or expectation, evidence]; NULL if it can.
CREATE FUNCTION crm.refusal(s crm.stores, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := u->'now';
    c jsonb;
    e jsonb;
    n integer := 0;
    v_claim crm.claims;
    v_highest bigint;
    v_ok boolean;
BEGIN
    FOR c IN SELECT value FROM jsonb_array_elements(u->'claims') LOOP
        IF n > 0 AND EXISTS (SELECT FROM jsonb_array_elements(u->'claims') WITH ORDINALITY AS before(o, i)
                             WHERE i <= n AND o->>0 = c->>0 AND o->>1 = c->>1) THEN
            RETURN jsonb_build_array('claim', n, (SELECT o->>2 FROM jsonb_array_elements(u->'claims') o
                                                  WHERE o->>0 = c->>0 AND o->>1 = c->>1 LIMIT 1));
        END IF;
        SELECT * INTO v_claim FROM crm.claims
        WHERE tenant = s.tenant AND kind = c->>0 AND key = c->>1
          AND NOT (u->'releases') @> jsonb_build_array(jsonb_build_array(c->0, c->1));
        IF v_claim.expires IS NULL AND v_claim.tenant IS NOT NULL OR v_now <= v_claim.expires THEN
            RETURN jsonb_build_array('claim', n, v_claim.evidence);
        END IF;
        IF jsonb_typeof(c->4) = 'number' THEN
            SELECT stamp INTO v_highest FROM crm.forgotten WHERE tenant = s.tenant AND kind = c->>0;
            IF (c->>4)::bigint <= greatest(v_highest, v_claim.stamp) THEN
                RETURN jsonb_build_array('forgotten', n, '');
            END IF;
        END IF;
        n := n + 1;
    END LOOP;
    n := 0;
    FOR e IN SELECT value FROM jsonb_array_elements(u->'expect') LOOP
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
        n := n + 1;
    END LOOP;
    RETURN NULL;
END $$;

-- How many documents a unit adds to a collection.
CREATE FUNCTION crm.growth(p_tenant text, p_collection text, u jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_put text[] := ARRAY(SELECT DISTINCT p->>1 FROM jsonb_array_elements(u->'puts') p WHERE p->>0 = p_collection);
    v_deleted text[] := ARRAY(SELECT d->>1 FROM jsonb_array_elements(u->'deletes') d WHERE d->>0 = p_collection);
BEGIN
    RETURN cardinality(v_put) - (SELECT count(*) FROM crm.documents WHERE tenant = p_tenant
                                 AND collection = p_collection AND id = ANY (v_put || v_deleted));
END $$;

-- Forget expired claims, up to 100 and those that the unit makes again, and remember the highest stamp of each kind.
CREATE FUNCTION crm.forget(p_tenant text, p_now bigint, p_claims jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c crm.claims;
BEGIN
    FOR c IN
        (SELECT * FROM crm.claims WHERE tenant = p_tenant AND expires < p_now ORDER BY expires LIMIT 100)
        UNION ALL
        SELECT k.* FROM jsonb_array_elements(p_claims) a, LATERAL
            (SELECT * FROM crm.claims WHERE tenant = p_tenant AND kind = a->>0 AND key = a->>1 AND expires < p_now
             OFFSET 0) k
    LOOP
        DELETE FROM crm.claims WHERE tenant = p_tenant AND kind = c.kind AND key = c.key;
        IF c.stamp IS NOT NULL THEN
            INSERT INTO crm.forgotten VALUES (p_tenant, c.kind, c.stamp)
            ON CONFLICT (tenant, kind) DO UPDATE SET stamp = greatest(forgotten.stamp, excluded.stamp);
        END IF;
    END LOOP;
END $$;

-- Delete the keys of a document that are in one {index: [key, ...]} and not in another.
CREATE FUNCTION crm.unindex(p_tenant text, p_collection text, p_id text, p_old jsonb, p_new jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT i.key AS name, k.key FROM jsonb_each(p_old) i, jsonb_array_elements_text(i.value) k(key)
             WHERE i.value IS DISTINCT FROM p_new->i.key
               AND NOT coalesce((p_new->i.key) ? k.key, false) LOOP
        DELETE FROM crm.keys WHERE tenant = p_tenant AND collection = p_collection AND name = r.name
            AND key = crm.cut(r.key) AND id = p_id;
    END LOOP;
END $$;

CREATE FUNCTION crm.names(p_indexes jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_agg(name), '[]')::text FROM jsonb_object_keys(p_indexes) name
$$;

-- Count documents of a collection in or out.
CREATE FUNCTION crm.counted(p_tenant text, p_collection text, p_indexes jsonb, p_more bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.collections VALUES (p_tenant, p_collection, crm.names(p_indexes), p_more)
    ON CONFLICT (tenant, collection, names) DO UPDATE SET documents = collections.documents + excluded.documents;
END $$;

-- Write a document with its keys.
CREATE FUNCTION crm.write(p_tenant text, p_collection text, p_id text, p_revision bigint, p_body text, p_indexes jsonb,
                          p_old jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_old IS NULL THEN
        INSERT INTO crm.documents VALUES (p_tenant, p_collection, p_id, p_revision, p_body, p_indexes);
        INSERT INTO crm.keys SELECT p_tenant, p_collection, i.key, crm.cut(k.key), p_id
        FROM jsonb_each(p_indexes) i, jsonb_array_elements_text(i.value) k(key);
        PERFORM crm.counted(p_tenant, p_collection, p_indexes, 1);
        RETURN;
    END IF;
    UPDATE crm.documents SET revision = p_revision, body = p_body, indexes = p_indexes
    WHERE tenant = p_tenant AND collection = p_collection AND id = p_id;
    IF p_old <> p_indexes THEN
        PERFORM crm.unindex(p_tenant, p_collection, p_id, p_old, p_indexes);
        INSERT INTO crm.keys SELECT p_tenant, p_collection, i.key, crm.cut(k.key), p_id
        FROM jsonb_each(p_indexes) i, jsonb_array_elements_text(i.value) k(key)
        WHERE i.value IS DISTINCT FROM p_old->i.key AND NOT coalesce((p_old->i.key) ? k.key, false);
        IF crm.names(p_old) <> crm.names(p_indexes) THEN
            PERFORM crm.counted(p_tenant, p_collection, p_old, -1);
            PERFORM crm.counted(p_tenant, p_collection, p_indexes, 1);
        END IF;
    END IF;
END $$;

-- Delete the documents and write the puts of a unit; the revisions of the puts.
CREATE FUNCTION crm.write_documents(p_tenant text, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_old crm.documents;
    v_revision bigint;
    v_revisions jsonb := '[]';
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(u->'deletes') LOOP
        DELETE FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1
        RETURNING * INTO v_old;
        IF v_old.id IS NOT NULL THEN
            PERFORM crm.unindex(p_tenant, v_old.collection, v_old.id, v_old.indexes, '{}');
            PERFORM crm.counted(p_tenant, v_old.collection, v_old.indexes, -1);
        END IF;
    END LOOP;
    FOR e IN SELECT value FROM jsonb_array_elements(u->'puts') LOOP
        SELECT * INTO v_old FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1;
        v_revision := greatest(v_old.revision, (e->>4)::bigint) + 1;
        PERFORM crm.write(p_tenant, e->>0, e->>1, v_revision, e->>2, e->3, v_old.indexes);
        v_revisions := v_revisions || to_jsonb(v_revision);
    END LOOP;
    RETURN v_revisions;
END $$;

-- Link entries into the chain; the store with its new head.
CREATE FUNCTION crm.write_log(s crm.stores, p_entries jsonb) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_text text;
    v_hash text;
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(p_entries) LOOP
        v_text := (e->>'before') || (s.head_seq + 1) || (e->>'after');
        v_hash := encode(sha256(convert_to(s.head_hash || E'\n' || v_text, 'UTF8')), 'hex');
        INSERT INTO crm.log VALUES (
            s.tenant, s.head_seq + 1, e->>'id', e->>'received_at', e->>'payload_type', e->>'status',
            e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', s.head_hash, v_hash, v_text);
        IF e->>'key_version' IS NOT NULL THEN
            INSERT INTO crm.key_uses VALUES (s.tenant, (e->>'key_version')::bigint, 1, e->>'received_at')
            ON CONFLICT (tenant, key_version) DO UPDATE
            SET uses = key_uses.uses + 1, last_used_at = greatest(key_uses.last_used_at, excluded.last_used_at);
        END IF;
        s.head_seq := s.head_seq + 1;
        s.head_hash := v_hash;
    END LOOP;
    RETURN s;
END $$;

-- Add to the change log. An erased record's earlier entries are redacted, and the evidence of claims about it.
CREATE FUNCTION crm.write_changes(s crm.stores, p_changes jsonb) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(p_changes) LOOP
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
CREATE FUNCTION crm.commit(p_tenant text, p_units jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    u jsonb;
    v_refused jsonb;
    v_revisions jsonb;
    v_outcomes jsonb := '[]';
BEGIN
    FOR u IN SELECT value FROM jsonb_array_elements(p_units) LOOP
        v_refused := crm.refusal(s, u);
        IF v_refused IS NOT NULL THEN
            v_outcomes := v_outcomes || jsonb_build_array(v_refused);
            CONTINUE;
        END IF;
        DELETE FROM crm.claims c USING jsonb_array_elements(u->'releases') r
        WHERE c.tenant = p_tenant AND c.kind = r->>0 AND c.key = r->>1;
        PERFORM crm.forget(p_tenant, (u->>'now')::bigint, u->'claims');
        INSERT INTO crm.claims SELECT p_tenant, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5
        FROM jsonb_array_elements(u->'claims') c;
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
