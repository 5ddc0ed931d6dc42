-- Version 5. Reads of one moment, many in one call; calls that may be sent again; a limit of the wait for a lock.

-- As crm.store without a lock, in the caller's snapshot: what a STABLE function reads after it is of the same moment.
CREATE FUNCTION crm.seen(p_tenant text) RETURNS crm.stores LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores;
BEGIN
    PERFORM set_config('crm.tenant', p_tenant, true);
    SELECT * INTO s FROM crm.stores WHERE tenant = p_tenant;
    IF s.tenant IS NULL THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;
    RETURN s;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE pronamespace = 'crm'::regnamespace
             AND provolatile = 's' AND prosrc LIKE '%crm.store(p_tenant, false)%' LOOP
        EXECUTE replace(f.text, 'crm.store(p_tenant, false)', 'crm.seen(p_tenant)');
    END LOOP;
END $$;

-- The limit makes a long wait a refusal that is known; a connection that is cut leaves the outcome open.
CREATE OR REPLACE FUNCTION crm.store(p_tenant text, p_lock boolean) RETURNS crm.stores LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores;
BEGIN
    PERFORM set_config('crm.tenant', p_tenant, true), set_config('lock_timeout', '2500', true);
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

-- The store's counters in the first row, then the documents that there are: p_ids[at] of the collection p_collections[at].
CREATE FUNCTION crm.read(p_tenant text, p_collections text[], p_ids text[])
RETURNS TABLE (at bigint, revision bigint, seq bigint, head_seq bigint, text text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.seen(p_tenant);
BEGIN
    RETURN QUERY SELECT 0::bigint, s.revision, s.seq, s.head_seq, s.head_hash;
    RETURN QUERY SELECT a.at, d.revision, NULL::bigint, NULL::bigint, d.body
        FROM unnest(p_collections, p_ids) WITH ORDINALITY AS a(collection, id, at) CROSS JOIN LATERAL
            (SELECT * FROM crm.documents o WHERE o.tenant = p_tenant AND o.collection = a.collection AND o.id = a.id
             OFFSET 0) d;
END $$;

-- The calls below may be sent again after a connection broke: the second does nothing, and returns the same.

-- Make an empty tenant; the epoch of the tenant that has the name now.
DROP FUNCTION crm.create_tenant;
CREATE FUNCTION crm.create_tenant(p_instance text, p_name text, p_epoch text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_tenant text := p_instance || '/' || p_name;
BEGIN
    PERFORM set_config('crm.tenant', v_tenant, true);
    INSERT INTO crm.tenants (instance, name) VALUES (p_instance, p_name) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO crm.stores (tenant, epoch) VALUES (v_tenant, p_epoch);
    END IF;
    RETURN (SELECT epoch FROM crm.stores WHERE tenant = v_tenant);
END $$;

-- The epoch of a tenant once no transaction that makes it is open; NULL if there is none.
CREATE FUNCTION crm.epoch(p_instance text, p_name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('crm.tenant', p_instance || '/' || p_name, true);
    INSERT INTO crm.tenants (instance, name) VALUES (p_instance, p_name) ON CONFLICT DO NOTHING;  -- waits for another
    IF FOUND THEN
        DELETE FROM crm.tenants WHERE instance = p_instance AND name = p_name;
    END IF;
    RETURN (SELECT epoch FROM crm.stores WHERE tenant = p_instance || '/' || p_name);
END $$;

-- Give a tenant, which has an epoch, another name, and its rows with it; false if another tenant has the name.
DROP FUNCTION crm.rename_tenant;
CREATE FUNCTION crm.rename_tenant(p_instance text, p_old text, p_new text, p_epoch text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_old text := p_instance || '/' || p_old;
    v_new text := p_instance || '/' || p_new;
    t text;
BEGIN
    PERFORM set_config('crm.tenant', v_old, true), set_config('crm.new_name', v_new, true);
    PERFORM 1 FROM crm.stores WHERE tenant = v_old AND epoch = p_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RETURN EXISTS (SELECT FROM crm.stores WHERE tenant = v_new AND epoch = p_epoch);
    END IF;
    UPDATE crm.tenants SET name = p_new WHERE instance = p_instance AND name = p_old;
    FOREACH t IN ARRAY ARRAY['stores', 'documents', 'keys', 'collections', 'claims', 'forgotten', 'log', 'attempts',
                             'key_uses', 'changes'] LOOP
        EXECUTE format('UPDATE crm.%I SET tenant = $2 WHERE tenant = $1', t) USING v_old, v_new;
    END LOOP;
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;

-- Delete a tenant, which has an epoch, if it is there.
DROP FUNCTION crm.remove_tenant;
CREATE FUNCTION crm.remove_tenant(p_instance text, p_name text, p_epoch text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_tenant text := p_instance || '/' || p_name;
    t text;
BEGIN
    PERFORM set_config('crm.tenant', v_tenant, true);
    PERFORM 1 FROM crm.stores WHERE tenant = v_tenant AND epoch = p_epoch FOR UPDATE;
    IF FOUND THEN
        DELETE FROM crm.tenants WHERE instance = p_instance AND name = p_name;
        FOREACH t IN ARRAY ARRAY['stores', 'documents', 'keys', 'collections', 'claims', 'forgotten', 'log', 'attempts',
                                 'key_uses', 'changes'] LOOP
            EXECUTE format('DELETE FROM crm.%I WHERE tenant = $1', t) USING v_tenant;
        END LOOP;
    END IF;
END $$;
