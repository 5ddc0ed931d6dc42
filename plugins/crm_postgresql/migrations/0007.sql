-- Version 7. The log and the change log by month: what is past is dropped with its partition.

-- No role sees rows of a table but those of its transaction's tenant.
CREATE FUNCTION crm.separate(p_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE crm.%I ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('CREATE POLICY tenant ON crm.%I USING (tenant IN (current_setting(''crm.tenant'', true), '
                   'current_setting(''crm.new_name'', true)))', p_table);
END $$;

-- Whether a tenant of any instance retains a row of a partition. Each is asked with one look into an index.
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
-- Only a role that owns the tables can: for another it does nothing, and what no partition takes is in the default one.
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

-- The entries of an earlier version become a partition of all months until now, without being written again.
DO $$
DECLARE
    t record;
    v_newest text;
    v_to text;
BEGIN
    FOR t IN VALUES ('log', 'received_at'), ('changes', 'at') LOOP
        EXECUTE format('ALTER TABLE crm.%I NO FORCE ROW LEVEL SECURITY', t.column1 || '_rest');
        EXECUTE format('SELECT max(%I) FROM crm.%I', t.column2, t.column1 || '_rest') INTO v_newest;
        EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', t.column1 || '_rest');
        CONTINUE WHEN v_newest IS NULL;
        v_to := to_char(greatest(now() AT TIME ZONE 'UTC', to_timestamp(left(v_newest, 7), 'YYYY-MM') AT TIME ZONE 'UTC')
                        + interval '1 month', 'YYYY-MM');
        EXECUTE format('ALTER TABLE crm.%I DETACH PARTITION crm.%I', t.column1, t.column1 || '_rest');
        EXECUTE format('ALTER TABLE crm.%I RENAME TO %I', t.column1 || '_rest', t.column1 || '_before');
        EXECUTE format('ALTER TABLE crm.%I ATTACH PARTITION crm.%I FOR VALUES FROM (MINVALUE) TO (%L)', t.column1,
                       t.column1 || '_before', v_to);
        EXECUTE format('CREATE TABLE crm.%I PARTITION OF crm.%I DEFAULT', t.column1 || '_rest', t.column1);
        PERFORM crm.separate(t.column1 || '_rest');
    END LOOP;
    PERFORM crm.months();
END $$;

-- Retain only what is after the first entry from a time on; NULL: everything. The anchor moves now, and readers begin
-- after it. The rows go with their partition, or one by one if another tenant has held that back for forty days.
CREATE OR REPLACE FUNCTION crm.retain(p_tenant text, p_log_from text, p_changes_from text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, true);
    v_first bigint;
BEGIN
    v_first := (SELECT min(seq) FROM crm.log WHERE tenant = p_tenant AND seq > s.anchor_seq
                AND received_at >= p_log_from);
    IF v_first > s.anchor_seq + 1 THEN
        s.anchor_seq := v_first - 1;
        UPDATE crm.stores SET anchor_seq = s.anchor_seq,
            anchor_hash = (SELECT prev_hash FROM crm.log WHERE tenant = p_tenant AND seq = v_first)
        WHERE tenant = p_tenant;
        DELETE FROM crm.key_uses WHERE tenant = p_tenant;
        INSERT INTO crm.key_uses SELECT tenant, key_version, count(*), max(received_at) FROM crm.log
        WHERE tenant = p_tenant AND seq > s.anchor_seq AND key_version IS NOT NULL GROUP BY 1, 2;
    END IF;
    v_first := (SELECT min(place) FROM crm.changes WHERE tenant = p_tenant AND place > s.oldest
                AND at >= p_changes_from);
    IF v_first > s.oldest + 1 THEN
        s.oldest := v_first - 1;
        UPDATE crm.stores SET oldest = s.oldest WHERE tenant = p_tenant;
    END IF;
    DELETE FROM crm.log WHERE tenant = p_tenant AND seq <= s.anchor_seq
        AND received_at < to_char((p_log_from::timestamptz AT TIME ZONE 'UTC') - interval '40 days', 'YYYY-MM-DD');
    DELETE FROM crm.changes WHERE tenant = p_tenant AND place <= s.oldest
        AND at < to_char((p_changes_from::timestamptz AT TIME ZONE 'UTC') - interval '40 days', 'YYYY-MM-DD');
END $$;
