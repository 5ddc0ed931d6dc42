-- Version 6. Pages whose cost does not depend on what the planner expects; documents without a value are found by a key.

-- The keys of a document as crm.keys has them: [] is found as null is.
CREATE FUNCTION crm.keys_of(p_indexes jsonb) RETURNS TABLE (name text, key text) LANGUAGE sql IMMUTABLE AS $$
    SELECT i.key, crm.cut(k.key) FROM jsonb_each(p_indexes) i,
        jsonb_array_elements_text(CASE WHEN i.value = '[]' THEN '["9"]' ELSE i.value END) k(key)
$$;

-- Delete the keys of a document that are in one {index: [key, ...]} and not in another.
CREATE OR REPLACE FUNCTION crm.unindex(p_tenant text, p_collection text, p_id text, p_old jsonb, p_new jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM crm.keys_of(p_old) EXCEPT SELECT * FROM crm.keys_of(p_new) LOOP
        DELETE FROM crm.keys k WHERE k.tenant = p_tenant AND k.collection = p_collection AND k.name = r.name
            AND k.key = r.key AND k.id = p_id;
    END LOOP;
END $$;

-- Write a document with its keys.
CREATE OR REPLACE FUNCTION crm.write(p_tenant text, p_collection text, p_id text, p_revision bigint, p_body text,
                                     p_indexes jsonb, p_old jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_old IS NULL THEN
        INSERT INTO crm.documents VALUES (p_tenant, p_collection, p_id, p_revision, p_body, p_indexes);
        INSERT INTO crm.keys SELECT p_tenant, p_collection, k.name, k.key, p_id FROM crm.keys_of(p_indexes) k;
        PERFORM crm.counted(p_tenant, p_collection, p_indexes, 1);
        RETURN;
    END IF;
    UPDATE crm.documents SET revision = p_revision, body = p_body, indexes = p_indexes
    WHERE tenant = p_tenant AND collection = p_collection AND id = p_id;
    IF p_old <> p_indexes THEN
        PERFORM crm.unindex(p_tenant, p_collection, p_id, p_old, p_indexes);
        INSERT INTO crm.keys SELECT p_tenant, p_collection, k.name, k.key, p_id
        FROM (SELECT * FROM crm.keys_of(p_indexes) EXCEPT SELECT * FROM crm.keys_of(p_old)) k;
        IF crm.names(p_old) <> crm.names(p_indexes) THEN
            PERFORM crm.counted(p_tenant, p_collection, p_old, -1);
            PERFORM crm.counted(p_tenant, p_collection, p_indexes, 1);
        END IF;
    END IF;
END $$;

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT instance || '/' || name AS tenant FROM crm.tenants LOOP
        PERFORM set_config('crm.tenant', t.tenant, true);
        INSERT INTO crm.keys SELECT d.tenant, d.collection, i.key, '9', d.id
        FROM crm.documents d, jsonb_each(d.indexes) i WHERE d.tenant = t.tenant AND i.value = '[]' ON CONFLICT DO NOTHING;
    END LOOP;
    PERFORM set_config('crm.tenant', '', true);
END $$;

-- A page. The SQL names the tenant as $1 and its texts as $2[n]; crm_postgresql/pages.py makes it.
--   p_probes: the ids that each condition finds, at most $3. One that finds few is enough: p_few, in order, of the ids $3.
--   p_walks: all documents in order, one statement after the other. p_total: how many there are without a limit.
DROP FUNCTION crm.page;
CREATE FUNCTION crm.page(p_tenant text, p_collection text, p_limit bigint, p_probes text[], p_few text, p_walks text[],
                         p_total text, p_texts text[])
RETURNS TABLE (workspace bigint, total bigint, id text, revision bigint, body text, key text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
    -- What few may be: to look at m documents, or to walk until m of a collection's n documents have filled the page.
    v_most bigint := ceil(sqrt(p_limit * crm.size(p_tenant, p_collection)));
    v_sql text;
    v_ids text[];
    v_found bigint := 0;
    v_rows refcursor;
BEGIN
    workspace := s.revision;
    IF p_total IS NOT NULL THEN
        EXECUTE p_total INTO total USING p_tenant, p_texts;
    END IF;
    FOREACH v_sql IN ARRAY p_probes LOOP
        EXECUTE 'SELECT array_agg(x.id) FROM (' || v_sql || ' LIMIT $3) x' INTO v_ids USING p_tenant, p_texts, v_most + 1;
        IF coalesce(cardinality(v_ids), 0) <= v_most THEN
            p_walks := ARRAY[p_few];
            EXIT;
        END IF;
    END LOOP;
    FOREACH v_sql IN ARRAY p_walks LOOP
        EXIT WHEN v_found >= p_limit;
        -- A cursor: planned to return the first rows soon.
        OPEN v_rows NO SCROLL FOR EXECUTE v_sql USING p_tenant, p_texts, v_ids;
        LOOP
            FETCH v_rows INTO id, revision, body, key;
            EXIT WHEN NOT FOUND;
            RETURN NEXT;
            v_found := v_found + 1;
            EXIT WHEN v_found >= p_limit;
        END LOOP;
        CLOSE v_rows;
    END LOOP;
    IF v_found = 0 THEN
        id := NULL;
        RETURN NEXT;
    END IF;
END $$;
