-- Version 13. A tenant that is removed or renamed leaves no attempts behind, which the next one of its name would show.

-- Write unverified attempts next to the chain; only the newest stay. The lock is none to other attempts: it waits for the
-- end of a removal or a rename, and is waited for by one.
CREATE OR REPLACE FUNCTION crm.note(p_tenant text, p_entries jsonb, p_limit bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.store(p_tenant, false);
    PERFORM 1 FROM crm.stores WHERE tenant = p_tenant FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;
    INSERT INTO crm.attempts SELECT p_tenant, e->>'id', e->>'received_at', e->>'payload_type', e->>'status',
        e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', (e->>'count')::bigint, e->>'entry'
    FROM jsonb_array_elements(p_entries) e
    ON CONFLICT (tenant, id) DO UPDATE SET received_at = excluded.received_at, payload_type = excluded.payload_type,
        status = excluded.status, signature_result = excluded.signature_result, key_version = excluded.key_version,
        request_id = excluded.request_id, count = excluded.count, entry = excluded.entry;
    DELETE FROM crm.attempts WHERE tenant = p_tenant AND id <=
        (SELECT id FROM crm.attempts WHERE tenant = p_tenant ORDER BY id DESC OFFSET p_limit LIMIT 1);
END $$;

-- Those that were left behind.
ALTER TABLE crm.attempts NO FORCE ROW LEVEL SECURITY;
DELETE FROM crm.attempts a
WHERE NOT EXISTS (SELECT FROM crm.tenants t WHERE t.instance || '/' || t.name = a.tenant);
ALTER TABLE crm.attempts FORCE ROW LEVEL SECURITY;
