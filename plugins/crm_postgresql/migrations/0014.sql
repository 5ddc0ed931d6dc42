-- Version 14. Documents of an earlier version are found by their ids in one pass; each part searched all of them before.

DROP FUNCTION crm.with_shape;
CREATE FUNCTION crm.with_shape(p_tenant text, p_collection text, p_names text, p_after text, p_limit bigint)
RETURNS TABLE (id text, revision bigint, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s crm.stores := crm.store(p_tenant, false);
BEGIN
    RETURN QUERY SELECT d.id, d.revision, d.body FROM crm.documents d WHERE d.tenant = p_tenant
        AND d.collection = p_collection AND d.id > p_after AND crm.names(d.indexes) = p_names ORDER BY d.id LIMIT p_limit;
END $$;
