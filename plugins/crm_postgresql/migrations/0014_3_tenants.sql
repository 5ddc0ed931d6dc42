-- Tenants: how a transaction names one, and how they are made, renamed and removed.
--
-- In all functions p_ is an argument, v_ a variable, s the tenant's row of crm.stores, u a unit and e an element of a
-- list. Functions that are called often assign the result of set_config, and of functions that return void, to a
-- variable that they do not use: PERFORM would be a query.

-- Limit the transaction to a tenant, and return its store, locked if a unit follows. Python raises UnknownTenant for
-- CT404. The lock has a timeout, since a refusal is a known outcome; a connection that the caller cuts leaves it open.
CREATE FUNCTION crm.store(p_tenant text, p_lock boolean) RETURNS crm.stores LANGUAGE plpgsql AS $$
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

-- As crm.store without a lock, in the caller's snapshot: what a STABLE function reads after it is of the same moment.
CREATE FUNCTION crm.seen(p_tenant text) RETURNS crm.stores LANGUAGE plpgsql STABLE AS $$
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

-- The next four may be sent again after a connection broke: the second call does nothing, and returns the same. The
-- epoch, which the creator chooses, distinguishes a tenant from an earlier or later one of its name.

-- Make an empty tenant; the epoch of the tenant that has the name now.
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

-- Give the tenant that has a name and an epoch another name, and its rows with it; false if another tenant has that.
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

-- Delete the tenant that has a name and an epoch, with its rows.
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

-- Raise an error if a tenant's store accepts no writes; nothing changes. p_new: try it with a row, which is then
-- undone, since a disk that was full has space again only if something new fits.
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

-- Record until when a process serves an instance, 0 seconds: no longer; the processes that serve it now.
CREATE FUNCTION crm.alive(p_instance text, p_process text, p_seconds integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM crm.processes WHERE instance = p_instance AND (until < now() OR process = p_process);
    IF p_seconds > 0 THEN
        INSERT INTO crm.processes VALUES (p_instance, p_process, now() + make_interval(secs => p_seconds))
        ON CONFLICT (instance, process) DO UPDATE SET until = excluded.until;
    END IF;
    RETURN QUERY SELECT process FROM crm.processes WHERE instance = p_instance;
END $$;
