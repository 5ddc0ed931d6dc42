-- Version 9. A page is one text; a store is known to be full until something new fits again.

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

-- A page: [revision, total or null, [[id, revision, body, key], ...]]. The SQL names the tenant as $1 and its texts as
-- $2[n]; crm_postgresql/pages.py makes it.
--   p_probes: the ids that each condition finds, at most $3. One that finds few is enough: p_few, in order, of the ids $3.
--   p_walks: all documents in order, one statement after the other. p_total: how many there are without a limit.
DROP FUNCTION crm.page;
CREATE FUNCTION crm.page(p_tenant text, p_collection text, p_limit bigint, p_probes text[], p_few text, p_walks text[],
                         p_total text, p_texts text[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
    -- What few may be: to look at m documents, or to walk until m of a collection's n documents have filled the page.
    v_most bigint := ceil(sqrt(p_limit * crm.size(p_tenant, p_collection)));
    v_sql text;
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
        EXECUTE 'SELECT array_agg(x.id) FROM (' || v_sql || ' LIMIT $3) x' INTO v_ids USING p_tenant, p_texts, v_most + 1;
        IF coalesce(cardinality(v_ids), 0) <= v_most THEN
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
    RETURN concat('[', s.revision, ',', coalesce(v_total::text, 'null'), ',[', array_to_string(v_items, ','), ']]');
END $$;
