-- Writing documents with their keys and counts. Counts are collected and written at the end, since a unit often puts
-- many documents of one collection: [[collection, names of the indexes of one more, names of the indexes of one less]].

-- Delete and put the documents of units; the revisions of the puts, in their order. In several units, and in one with
-- many puts, no document is put twice.
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

-- Put the documents of units, each once, with their keys, and add to the counts. A document whose indexes keep their
-- names is not counted again.
CREATE FUNCTION crm.put_documents(p_tenant text, p_units jsonb, INOUT p_counts jsonb, OUT p_revisions bigint[])
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

-- Write a document with its keys. p_old: the indexes that it had; NULL if it is new.
CREATE FUNCTION crm.write(p_tenant text, p_collection text, p_id text, p_revision bigint, p_body text,
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

-- Delete the keys of a document that it does not have with other indexes.
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

-- Delete the documents of a unit; their counts.
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

-- Write counts. A single new document, the most frequent case, is a plain update.
CREATE FUNCTION crm.counted(p_tenant text, p_counts jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_array_length(p_counts) = 1 AND p_counts->0->>2 IS NULL THEN
        UPDATE crm.collections SET documents = documents + 1
        WHERE tenant = p_tenant AND collection = p_counts->0->>0 AND names = p_counts->0->>1;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    INSERT INTO crm.collections SELECT p_tenant, c->>0, n.names, sum(n.more)
    FROM jsonb_array_elements(p_counts) c CROSS JOIN LATERAL (VALUES (c->>1, 1), (c->>2, -1)) n(names, more)
    WHERE n.names IS NOT NULL GROUP BY c->>0, n.names HAVING sum(n.more) <> 0
    ON CONFLICT (tenant, collection, names) DO UPDATE SET documents = collections.documents + excluded.documents;
END $$;

-- An earlier version of the program or of a plugin may have given documents other indexes. Each process looks for such
-- documents before it uses a tenant, and has them indexed again.

-- The collections with the names of their documents' indexes.
CREATE FUNCTION crm.shapes(p_tenant text) RETURNS TABLE (collection text, names text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
BEGIN
    RETURN QUERY SELECT c.collection, c.names FROM crm.collections c WHERE c.tenant = p_tenant AND c.documents > 0;
END $$;

-- Documents whose indexes have such names, after an id and in order of ids.
CREATE FUNCTION crm.with_shape(p_tenant text, p_collection text, p_names text, p_after text, p_limit bigint)
RETURNS TABLE (id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    RETURN QUERY SELECT d.id, d.revision, d.body FROM crm.documents d WHERE d.tenant = p_tenant
        AND d.collection = p_collection AND d.id > p_after AND crm.names(d.indexes) = p_names ORDER BY d.id LIMIT p_limit;
END $$;

-- Write documents again with the same revisions: [[collection, id, revision, body, indexes]]. One that was written in
-- the meantime stays as it is.
CREATE FUNCTION crm.reindex(p_tenant text, p_documents jsonb) RETURNS void LANGUAGE plpgsql AS $$
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
