-- Separation of tenants, by row-level security, and of months, by partitions of the log and the change log.

-- Let a table show and accept only rows of the tenant that the transaction names, also for the role that owns it. A
-- rename names two: the old name and the new one.
CREATE FUNCTION crm.separate(p_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE crm.%I ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('CREATE POLICY tenant ON crm.%I USING (tenant IN (current_setting(''crm.tenant'', true), '
                   'current_setting(''crm.new_name'', true)))', p_table);
END $$;

SELECT crm.separate(name) FROM unnest(ARRAY['stores', 'documents', 'keys', 'collections', 'claims', 'forgotten', 'log',
    'log_rest', 'attempts', 'key_uses', 'changes', 'changes_rest']) name;

-- Entries that no tenant retains are dropped with their partition. Deleting them would write each row once more.

-- Whether a tenant of any instance retains a row of a partition, by one look into an index for each tenant.
CREATE FUNCTION crm.is_retained(p_partition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    t record;
    v_row boolean;
BEGIN
    FOR t IN SELECT instance || '/' || name AS tenant FROM crm.tenants LOOP
        PERFORM set_config('crm.tenant', t.tenant, true);
        IF p_partition LIKE 'log%' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM crm.%I WHERE tenant = $1 AND seq > '
                           '(SELECT anchor_seq FROM crm.stores WHERE tenant = $1))', p_partition) INTO v_row USING t.tenant;
        ELSE
            EXECUTE format('SELECT EXISTS (SELECT FROM crm.%I WHERE tenant = $1 AND place > '
                           '(SELECT oldest FROM crm.stores WHERE tenant = $1))', p_partition) INTO v_row USING t.tenant;
        END IF;
        IF v_row THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- Make the partitions of this month and the next two, and drop past ones of which no tenant retains a row; their names.
-- Only a role that owns the tables can: for another it does nothing, and entries go to the default partition. One
-- process at a time does it, and none waits long for a table, since it is called again the next day.
CREATE FUNCTION crm.months() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    v_month timestamp;
    v_name text;
    t text;
    p record;
BEGIN
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'crm.log'::regclass), 'USAGE')
       OR NOT pg_try_advisory_xact_lock(6517357) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '1000', true);
    FOREACH t IN ARRAY ARRAY['log', 'changes'] LOOP
        FOR n IN 0..2 LOOP
            v_month := v_now + make_interval(months => n);
            v_name := t || to_char(v_month, '_YYYY_MM');
            CONTINUE WHEN to_regclass('crm.' || v_name) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE crm.%I PARTITION OF crm.%I FOR VALUES FROM (%L) TO (%L)', v_name, t,
                               to_char(v_month, 'YYYY-MM'), to_char(v_month + interval '1 month', 'YYYY-MM'));
                PERFORM crm.separate(v_name);
                RETURN NEXT v_name;
            EXCEPTION WHEN check_violation OR invalid_object_definition THEN
                NULL;  -- entries of the month are in the default partition, or in that of all before
            END;
        END LOOP;
        FOR p IN SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = ('crm.' || t)::regclass AND
                    substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)') <= to_char(v_now, 'YYYY-MM')
                 ORDER BY c.relname LOOP
            EXECUTE format('LOCK TABLE crm.%I IN SHARE ROW EXCLUSIVE MODE', p.name);  -- a restore may bring old entries
            IF NOT crm.is_retained(p.name) THEN
                EXECUTE format('DROP TABLE crm.%I', p.name);
                RETURN NEXT p.name;
            END IF;
        END LOOP;
    END LOOP;
END $$;

SELECT crm.months();
