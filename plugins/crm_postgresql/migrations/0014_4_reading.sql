-- Reading the workspace, documents and pages. What a call returns is of one moment, and many reads are one call.

-- A key as crm.keys has it. A long one is cut, and a hash of all of it follows: an index of PostgreSQL accepts no more
-- than about 2,700 bytes.
CREATE FUNCTION crm.cut(p_key text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN octet_length(p_key) <= 1800 THEN p_key
                ELSE left(p_key, 400) || encode(sha256(convert_to(p_key, 'UTF8')), 'hex') END;
END $$;

-- The keys of a document, as crm.keys has them, that it does not have with other indexes. One without values is found
-- by the key of null, 9. Short keys are not given to crm.cut, since each call of a function costs more than the rest.
CREATE FUNCTION crm.keys_of(p_indexes jsonb, p_other jsonb) RETURNS TABLE (name text, key text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT i.key, CASE WHEN octet_length(k.key) <= 1800 THEN k.key ELSE crm.cut(k.key) END
    FROM jsonb_each(p_indexes) i,
        jsonb_array_elements_text(CASE WHEN i.value = '[]' THEN '["9"]' ELSE i.value END) k(key)
    WHERE i.value IS DISTINCT FROM p_other->i.key
      AND (CASE WHEN p_other->i.key = '[]' THEN '["9"]' ELSE p_other->i.key END ? k.key) IS NOT TRUE
$$;

-- The names of a document's indexes, as crm.collections has them. A query inside would be planned at each call.
CREATE FUNCTION crm.names(p_indexes jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_path_query_array(p_indexes, '$.keyvalue().key')::text
$$;

-- How many documents a collection has, in a transaction that is limited to the tenant already.
CREATE FUNCTION crm.size(p_tenant text, p_collection text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(sum(documents), 0) FROM crm.collections
            WHERE tenant = p_tenant AND collection = p_collection);
END $$;

-- Whether a collection has documents that were put without an index: crm.keys does not have them under its name.
CREATE FUNCTION crm.lacks(p_tenant text, p_collection text, p_name text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM crm.collections WHERE tenant = p_tenant AND collection = p_collection
                   AND documents > 0 AND NOT names::jsonb ? p_name);
END $$;

-- A tenant at one moment: [epoch, revision, seq, {seq, hash} of the head, [[place, revision, body]], [[place,
-- evidence]], sections]. A place is that of the id or key among the arguments, from 1; what does not exist is left out.
-- The sections, [[id, revision, body]], are null if all of p_seen is this revision: every caller has them.
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

-- A document, and the revision of the workspace; the document's columns are null if it does not exist.
CREATE FUNCTION crm.get(p_tenant text, p_collection text, p_id text)
RETURNS TABLE (workspace bigint, id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
BEGIN
    SELECT d.id, d.revision, d.body INTO id, revision, body FROM crm.documents d
    WHERE d.tenant = p_tenant AND d.collection = p_collection AND d.id = p_id;
    workspace := s.revision;
    RETURN NEXT;
END $$;

-- As crm.get, of the documents that have a key: the one with the first id.
CREATE FUNCTION crm.find(p_tenant text, p_collection text, p_name text, p_key text)
RETURNS TABLE (workspace bigint, id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
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

-- How many documents a collection has.
CREATE FUNCTION crm.count(p_tenant text, p_collection text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.seen(p_tenant);
    RETURN crm.size(p_tenant, p_collection);
END $$;

-- The names of the collections that have documents.
CREATE FUNCTION crm.collections(p_tenant text) RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.seen(p_tenant);
    RETURN QUERY SELECT DISTINCT c.collection FROM crm.collections c WHERE c.tenant = p_tenant AND c.documents > 0
        ORDER BY 1;
END $$;

-- The documents of a collection by id.
CREATE FUNCTION crm.documents(p_tenant text, p_collection text, p_limit bigint)
RETURNS TABLE (id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM crm.seen(p_tenant);
    RETURN QUERY SELECT d.id, d.revision, d.body FROM crm.documents d
        WHERE d.tenant = p_tenant AND d.collection = p_collection ORDER BY d.id LIMIT p_limit;
END $$;

-- The bodies of documents after an id: [id of the last, [body, ...]]; the id is null if there are none.
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

-- A page: [epoch, revision, seq, total or null, [[id, revision, body, key], ...]]. The SQL names the tenant as $1 and
-- its texts as $2[n]; crm_postgresql/pages.py makes it.
--   p_probes: the ids that each condition finds. One that finds few is enough: p_few, in order, of the ids $3.
--   p_walks: all documents in order, one statement after the other. p_total: how many there are without a limit.
-- The function decides which by looking: the planner's estimates are of all tenants together.
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
