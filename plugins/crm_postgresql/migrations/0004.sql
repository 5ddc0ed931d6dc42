-- Version 4. Pages of collections, and what is known of the store as a whole.

-- A page that p_sql selects: $1 is the tenant, $2 the texts that it names as $2[n].
CREATE FUNCTION crm.page(p_tenant text, p_sql text, p_texts text[])
RETURNS TABLE (workspace bigint, total bigint, id text, revision bigint, body text, key text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    workspace := s.revision;
    FOR total, id, revision, body, key IN EXECUTE p_sql USING p_tenant, p_texts LOOP
        RETURN NEXT;
    END LOOP;
END $$;

CREATE TABLE crm.marks (
    instance text COLLATE "C" PRIMARY KEY,
    mark bytea NOT NULL
);

-- The processes that serve an instance, each until a time by this database's clock.
CREATE TABLE crm.processes (
    instance text COLLATE "C" NOT NULL,
    process text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (instance, process)
);

-- Make an empty tenant. Its name is taken if a row of crm.tenants has it.
CREATE FUNCTION crm.create_tenant(p_instance text, p_name text, p_epoch text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('crm.tenant', p_instance || '/' || p_name, true);
    INSERT INTO crm.tenants (instance, name) VALUES (p_instance, p_name);
    INSERT INTO crm.stores (tenant, epoch) VALUES (p_instance || '/' || p_name, p_epoch);
END $$;

-- Give a tenant another name, and its rows with it.
CREATE FUNCTION crm.rename_tenant(p_instance text, p_old text, p_new text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old text := p_instance || '/' || p_old;
    v_new text := p_instance || '/' || p_new;
    s crm.stores := crm.store(v_old, true);
    t text;
BEGIN
    PERFORM set_config('crm.new_name', v_new, true);
    UPDATE crm.tenants SET name = p_new WHERE instance = p_instance AND name = p_old;
    FOREACH t IN ARRAY ARRAY['stores', 'documents', 'keys', 'collections', 'claims', 'forgotten', 'log', 'attempts',
                             'key_uses', 'changes'] LOOP
        EXECUTE format('UPDATE crm.%I SET tenant = $2 WHERE tenant = $1', t) USING v_old, v_new;
    END LOOP;
END $$;

CREATE FUNCTION crm.remove_tenant(p_instance text, p_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_tenant text := p_instance || '/' || p_name;
    s crm.stores := crm.store(v_tenant, true);
    t text;
BEGIN
    DELETE FROM crm.tenants WHERE instance = p_instance AND name = p_name;
    FOREACH t IN ARRAY ARRAY['stores', 'documents', 'keys', 'collections', 'claims', 'forgotten', 'log', 'attempts',
                             'key_uses', 'changes'] LOOP
        EXECUTE format('DELETE FROM crm.%I WHERE tenant = $1', t) USING v_tenant;
    END LOOP;
END $$;

-- The times of the newest entries of the log and of the change log.
CREATE FUNCTION crm.newest(p_tenant text, OUT received_at text, OUT at text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    received_at := (SELECT l.received_at FROM crm.log l WHERE l.tenant = p_tenant AND l.seq = s.head_seq);
    at := (SELECT c.at FROM crm.changes c WHERE c.tenant = p_tenant AND c.place = s.newest);
END $$;

-- Drop what is before the first entry from a time on; NULL: drop nothing. The anchor moves in the same transaction.
CREATE FUNCTION crm.retain(p_tenant text, p_log_from text, p_changes_from text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    v_first bigint;
BEGIN
    v_first := (SELECT min(seq) FROM crm.log WHERE tenant = p_tenant AND seq > s.anchor_seq
                AND received_at >= p_log_from);
    IF v_first > s.anchor_seq + 1 THEN
        UPDATE crm.stores SET anchor_seq = v_first - 1,
            anchor_hash = (SELECT prev_hash FROM crm.log WHERE tenant = p_tenant AND seq = v_first)
        WHERE tenant = p_tenant;
        DELETE FROM crm.log WHERE tenant = p_tenant AND seq < v_first;
        DELETE FROM crm.key_uses WHERE tenant = p_tenant;
        INSERT INTO crm.key_uses SELECT tenant, key_version, count(*), max(received_at) FROM crm.log
        WHERE tenant = p_tenant AND key_version IS NOT NULL GROUP BY 1, 2;
    END IF;
    v_first := (SELECT min(place) FROM crm.changes WHERE tenant = p_tenant AND place > s.oldest
                AND at >= p_changes_from);
    IF v_first > s.oldest + 1 THEN
        UPDATE crm.stores SET oldest = v_first - 1 WHERE tenant = p_tenant;
        DELETE FROM crm.changes WHERE tenant = p_tenant AND place < v_first;
    END IF;
END $$;

-- Write documents of an earlier version again, with the same revisions: [[collection, id, revision, body, indexes]].
CREATE FUNCTION crm.reindex(p_tenant text, p_documents jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    e jsonb;
    v_old crm.documents;
BEGIN
    FOR e IN SELECT value FROM jsonb_array_elements(p_documents) LOOP
        SELECT * INTO v_old FROM crm.documents WHERE tenant = p_tenant AND collection = e->>0 AND id = e->>1;
        IF v_old.revision = (e->>2)::bigint THEN
            PERFORM crm.write(p_tenant, e->>0, e->>1, v_old.revision, e->>3, e->4, v_old.indexes);
        END IF;
    END LOOP;
END $$;

-- Note until when a process serves an instance, 0 seconds: no longer; those that do now.
CREATE FUNCTION crm.alive(p_instance text, p_process text, p_seconds integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM crm.processes WHERE instance = p_instance AND (until < now() OR process = p_process);
    IF p_seconds > 0 THEN
        INSERT INTO crm.processes VALUES (p_instance, p_process, now() + make_interval(secs => p_seconds))
        ON CONFLICT (instance, process) DO UPDATE SET until = excluded.until;
    END IF;
    RETURN QUERY SELECT process FROM crm.processes WHERE instance = p_instance;
END $$;

-- The collections with the names of their documents' indexes, and some of the documents with such names.
CREATE FUNCTION crm.shapes(p_tenant text) RETURNS TABLE (collection text, names text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    RETURN QUERY SELECT c.collection, c.names FROM crm.collections c WHERE c.tenant = p_tenant AND c.documents > 0;
END $$;

CREATE FUNCTION crm.with_shape(p_tenant text, p_collection text, p_names text, p_limit bigint)
RETURNS TABLE (id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    RETURN QUERY SELECT d.id, d.revision, d.body FROM crm.documents d WHERE d.tenant = p_tenant
        AND d.collection = p_collection AND crm.names(d.indexes) = p_names LIMIT p_limit;
END $$;
