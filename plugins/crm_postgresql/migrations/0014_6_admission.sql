-- Claims and expectations, which decide whether a unit is committed. 0014_5_commit.sql has their form.

-- Why a unit cannot be committed, as crm.claim_refusal and crm.refusal say it; NULL if it can. Its claims are then
-- made, its releases deleted.
CREATE FUNCTION crm.admit(s crm.stores, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := u->'now';
    v_due boolean := s.expires < v_now IS TRUE;
    v_claims boolean := u->'claims' <> '[]';
    v_made boolean := false;
    v_refused jsonb;
BEGIN
    IF v_claims THEN
        IF u ? 'distinct' AND NOT v_due THEN  -- most are new, and made by one statement
            v_made := crm.claimed(s.tenant, u->'claims');
        END IF;
        IF NOT v_made THEN
            v_refused := crm.claim_refusal(s.tenant, u);
        END IF;
    END IF;
    IF v_refused IS NULL THEN
        v_refused := crm.refusal(s, u);
        IF v_made AND v_refused IS NOT NULL THEN
            PERFORM crm.release(s.tenant, u->'claims');
        END IF;
    END IF;
    IF v_refused IS NOT NULL THEN
        RETURN v_refused;
    END IF;
    IF u->'releases' <> '[]' THEN
        PERFORM crm.release(s.tenant, u->'releases');
    END IF;
    IF v_made THEN
        RETURN NULL;
    END IF;
    IF v_due THEN
        PERFORM crm.forget(s.tenant, v_now, u->'claims');
    END IF;
    IF v_claims THEN
        INSERT INTO crm.claims SELECT s.tenant, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5
        FROM jsonb_array_elements(u->'claims') c;
    END IF;
    RETURN NULL;
END $$;

-- Why a unit's claims cannot be made, as [what, number of the claim, evidence]; NULL if they can. Most are new, which
-- one query finds.
CREATE FUNCTION crm.claim_refusal(p_tenant text, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := u->'now';
    v_claims jsonb := u->'claims';
    c jsonb;
    v_claim crm.claims;
    v_highest bigint;
BEGIN
    IF jsonb_array_length(v_claims) < 3 AND (v_claims->0->0 <> v_claims->1->0 OR v_claims->0->1 <> v_claims->1->1) IS NOT FALSE
       AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(v_claims) a
            LEFT JOIN LATERAL (SELECT true AS found FROM crm.claims k WHERE k.tenant = p_tenant AND k.kind = a->>0
                               AND k.key = a->>1 OFFSET 0) k ON true
            LEFT JOIN LATERAL (SELECT f.stamp FROM crm.forgotten f WHERE f.tenant = p_tenant AND f.kind = a->>0
                               OFFSET 0) f ON true
            WHERE k.found OR (a->>4)::bigint <= f.stamp) THEN
        RETURN NULL;
    END IF;
    FOR n IN 0 .. jsonb_array_length(v_claims) - 1 LOOP
        c := v_claims->n;
        FOR i IN 0 .. n - 1 LOOP
            IF v_claims->i->0 = c->0 AND v_claims->i->1 = c->1 THEN
                RETURN jsonb_build_array('claim', n, v_claims->i->2);
            END IF;
        END LOOP;
        SELECT * INTO v_claim FROM crm.claims
        WHERE tenant = p_tenant AND kind = c->>0 AND key = c->>1
          AND NOT (u->'releases') @> jsonb_build_array(jsonb_build_array(c->0, c->1));
        IF v_claim.expires IS NULL AND v_claim.tenant IS NOT NULL OR v_now <= v_claim.expires THEN
            RETURN jsonb_build_array('claim', n, v_claim.evidence);
        END IF;
        IF jsonb_typeof(c->4) = 'number' THEN
            SELECT stamp INTO v_highest FROM crm.forgotten WHERE tenant = p_tenant AND kind = c->>0;
            IF (c->>4)::bigint <= greatest(v_highest, v_claim.stamp) THEN
                RETURN jsonb_build_array('forgotten', n, '');
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- Make a unit's claims if all of them are new; whether they were made.
CREATE FUNCTION crm.claimed(p_tenant text, p_claims jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.claims
    SELECT p_tenant, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5 FROM jsonb_array_elements(p_claims) c
    WHERE NOT EXISTS (
        SELECT FROM jsonb_array_elements(p_claims) a
        LEFT JOIN LATERAL (SELECT true AS found FROM crm.claims k WHERE k.tenant = p_tenant AND k.kind = a->>0
                           AND k.key = a->>1 OFFSET 0) k ON true
        LEFT JOIN LATERAL (SELECT f.stamp FROM crm.forgotten f WHERE f.tenant = p_tenant AND f.kind = a->>0
                           OFFSET 0) f ON true
        WHERE k.found OR (a->>4)::bigint <= f.stamp);
    RETURN FOUND;
END $$;

-- Delete claims: [[kind, key, ...]].
CREATE FUNCTION crm.release(p_tenant text, p_claims jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 0 .. jsonb_array_length(p_claims) - 1 LOOP
        DELETE FROM crm.claims WHERE tenant = p_tenant AND kind = p_claims->n->>0 AND key = p_claims->n->>1;
    END LOOP;
END $$;

-- Forget expired claims, up to 100 and those that the unit makes again, and remember the highest stamp of each kind.
CREATE FUNCTION crm.forget(p_tenant text, p_now bigint, p_claims jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c crm.claims;
BEGIN
    FOR c IN
        (SELECT * FROM crm.claims WHERE tenant = p_tenant AND expires < p_now ORDER BY expires LIMIT 100)
        UNION ALL
        SELECT k.* FROM jsonb_array_elements(p_claims) a, LATERAL
            (SELECT * FROM crm.claims WHERE tenant = p_tenant AND kind = a->>0 AND key = a->>1 AND expires < p_now
             OFFSET 0) k
    LOOP
        DELETE FROM crm.claims WHERE tenant = p_tenant AND kind = c.kind AND key = c.key;
        IF c.stamp IS NOT NULL THEN
            INSERT INTO crm.forgotten VALUES (p_tenant, c.kind, c.stamp)
            ON CONFLICT (tenant, kind) DO UPDATE SET stamp = greatest(forgotten.stamp, excluded.stamp);
        END IF;
    END LOOP;
END $$;

-- The store after claims were forgotten, with the time at which the next one expires, and the highest stamp.
CREATE FUNCTION crm.without_forgotten(s crm.stores) RETURNS crm.stores LANGUAGE plpgsql AS $$
BEGIN
    s.expires := (SELECT min(expires) FROM crm.claims WHERE tenant = s.tenant AND expires IS NOT NULL);
    s.forgotten := (SELECT max(stamp) FROM crm.forgotten WHERE tenant = s.tenant);
    RETURN s;
END $$;

-- Why a unit's expectations are not met, as [what, number of the expectation, ""]; NULL if they are.
CREATE FUNCTION crm.refusal(s crm.stores, u jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    v_expect jsonb := u->'expect';
    v_ok boolean;
BEGIN
    FOR n IN 0 .. jsonb_array_length(v_expect) - 1 LOOP
        e := v_expect->n;
        CASE e->>0
        WHEN 'workspace' THEN
            v_ok := s.revision = (e->>1)::bigint AND e->>2 IN ('', s.epoch);
        WHEN 'document' THEN
            v_ok := coalesce((SELECT revision FROM crm.documents WHERE tenant = s.tenant AND collection = e->>1
                              AND id = e->>2), 0) = (e->>3)::bigint;
        WHEN 'exists' THEN
            v_ok := EXISTS (SELECT FROM crm.documents WHERE tenant = s.tenant AND collection = e->>1 AND id = e->>2);
        WHEN 'index' THEN
            v_ok := NOT EXISTS (SELECT FROM crm.keys WHERE tenant = s.tenant AND collection = e->>1 AND name = e->>2
                                AND key = crm.cut(e->>3) AND id <> e->>4 AND id <> ALL (ARRAY(
                SELECT d->>1 FROM jsonb_array_elements(u->'deletes') d WHERE d->>0 = e->>1)));
        ELSE
            v_ok := crm.size(s.tenant, e->>1) + crm.growth(s.tenant, e->>1, u) <= (e->>2)::bigint;
        END CASE;
        IF NOT v_ok THEN
            RETURN jsonb_build_array(e->0, n, '');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- How many documents a unit adds to a collection.
CREATE FUNCTION crm.growth(p_tenant text, p_collection text, u jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_put text[] := ARRAY(SELECT DISTINCT p->>1 FROM jsonb_array_elements(u->'puts') p WHERE p->>0 = p_collection);
    v_deleted text[] := ARRAY(SELECT d->>1 FROM jsonb_array_elements(u->'deletes') d WHERE d->>0 = p_collection);
BEGIN
    RETURN cardinality(v_put) - (SELECT count(*) FROM crm.documents WHERE tenant = p_tenant
                                 AND collection = p_collection AND id = ANY (v_put || v_deleted));
END $$;

-- As crm.refusal, of units that expect nothing but the workspace and documents: {number of the unit: refusal}.
CREATE FUNCTION crm.refusals(s crm.stores, p_units jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(r.n - 1, r.refusal) FROM (
        SELECT DISTINCT ON (u.n) u.n, jsonb_build_array(e.value->0, e.at - 1, '') AS refusal
        FROM jsonb_array_elements(p_units) WITH ORDINALITY u(value, n)
        CROSS JOIN LATERAL jsonb_array_elements(u.value->'expect') WITH ORDINALITY e(value, at)
        LEFT JOIN LATERAL (SELECT o.revision FROM crm.documents o WHERE o.tenant = s.tenant
                           AND o.collection = e.value->>1 AND o.id = e.value->>2 OFFSET 0) d ON true
        WHERE CASE e.value->>0 WHEN 'workspace'
                               THEN (e.value->>1)::bigint <> s.revision OR e.value->>2 NOT IN ('', s.epoch)
                               WHEN 'document' THEN (e.value->>3)::bigint <> coalesce(d.revision, 0)
                               ELSE d.revision IS NULL END
        ORDER BY u.n, e.at) r);
END $$;
