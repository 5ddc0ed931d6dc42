-- Version 10. The policy of version 7 again: with OR, plans of a small tenant next to a large one used the policy's own
-- index conditions and then sorted all of its documents.
CREATE OR REPLACE FUNCTION crm.separate(p_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE crm.%I ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('DROP POLICY IF EXISTS tenant ON crm.%I', p_table);
    EXECUTE format('CREATE POLICY tenant ON crm.%I USING (tenant IN (current_setting(''crm.tenant'', true), '
                   'current_setting(''crm.new_name'', true)))', p_table);
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOR t IN SELECT tablename FROM pg_policies WHERE schemaname = 'crm' LOOP
        PERFORM crm.separate(t);
    END LOOP;
END $$;
