-- Committing units. A unit is everything that one request changes; it is committed whole or not at all. Its form, which
-- crm_postgresql/units.py writes:
--
--   now        Unix seconds, by the clock of the host
--   expect     ["workspace", revision, epoch or ""], ["document", collection, id, revision or 0],
--              ["exists", collection, id], ["index", collection, index, key, id of the document that may have it],
--              ["count", collection, limit]
--   claims     [kind, key, evidence, expires, stamp, subject], what may be used once
--   expires    when the first of these claims expires; null: none does
--   stamp      the lowest stamp of these claims; null: none has one
--   releases   [kind, key] of claims that are deleted
--   puts       [collection, id, body, {index: [key, ...]}, its revision in the collection that it leaves or 0, whether
--              it is probably new or keeps its indexes, the names of its indexes as a PostgreSQL array]
--   deletes    [collection, id]
--   changes    [type, id, change, at, entry] for the change log
--   entries    {before, after, ...} for the log: the text before and after the seq, and the columns of crm.log
--   revises    1 if the workspace gets a new revision, otherwise 0
--   distinct   present if no claim or release is the same as another
--   repeats    present if a document is put several times
--   erases     present if a change erases a record
--
-- All but now, expires, stamp and revises are lists. The outcome is [seq, revision, head seq, head hash, [revision of
-- each put]] or, of a unit that was refused, [what, number of the claim or expectation, evidence of the earlier claim].

-- Commit a unit that comes alone, as a push does; a list with its outcome. The rare cases are left to the functions
-- that crm.commit_together calls: each statement, and each call of a function, costs much more than what it does.
CREATE FUNCTION crm.commit(p_tenant text, u jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_set text := concat(set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true),
                         set_config('crm.tenant', p_tenant, true), set_config('lock_timeout', '2500', true));
    s crm.stores;
    e jsonb;
    v_plain boolean;
    v_refused jsonb;
    v_due boolean;
    v_counts jsonb := '[]';
    v_revision bigint;
    v_some bigint[];
    v_revisions bigint[];
    v_text text;
    v_hash text;
    v_done text;  -- assigned, since PERFORM is a query
BEGIN
    SELECT * INTO s FROM crm.stores WHERE tenant = p_tenant FOR UPDATE;
    IF s.tenant IS NULL THEN
        RAISE EXCEPTION 'unknown tenant' USING ERRCODE = 'CT404';
    END IF;

    -- Expectations, claims, releases. Most claims are new, and no other transaction makes any: this one has the lock.
    v_due := s.expires < (u->>'now')::bigint IS TRUE;
    v_plain := u ? 'distinct' AND ((u->>'stamp')::bigint <= s.forgotten) IS NOT TRUE;
    IF v_plain AND u->'expect' <> '[]' THEN
        e := u->'expect'->0;
        IF u->'expect'->1 IS NOT NULL OR e->>0 <> 'workspace' OR s.revision <> (e->>1)::bigint
           OR e->>2 NOT IN ('', s.epoch) THEN  -- a push expects nothing but the workspace
            v_refused := crm.refusal(s, u);
        END IF;
        IF v_refused IS NOT NULL THEN  -- a claim that fails is named first
            v_done := set_config('synchronous_commit', 'off', true);  -- nothing was written that the disk must have
            RETURN concat('[', coalesce(crm.claim_refusal(p_tenant, u), v_refused), ']');
        END IF;
    END IF;
    IF v_plain THEN
        FOR n IN 0 .. jsonb_array_length(u->'claims') - 1 LOOP
            e := u->'claims'->n;
            INSERT INTO crm.claims VALUES (p_tenant, e->>0, e->>1, e->>2, (e->>3)::bigint, (e->>4)::bigint, e->>5)
            ON CONFLICT (tenant, kind, key) DO NOTHING;
            IF NOT FOUND THEN
                v_plain := false;
                FOR made IN 0 .. n - 1 LOOP
                    v_done := crm.release(p_tenant, jsonb_build_array(u->'claims'->made));
                END LOOP;
                EXIT;
            END IF;
        END LOOP;
    END IF;
    IF NOT v_plain THEN
        v_refused := crm.admit(s, u);
        IF v_refused IS NOT NULL THEN
            v_done := set_config('synchronous_commit', 'off', true);
            RETURN concat('[', v_refused, ']');
        END IF;
    ELSIF u->'releases' <> '[]' THEN
        v_done := crm.release(p_tenant, u->'releases');
    END IF;
    IF v_due THEN
        IF v_plain THEN
            v_done := crm.forget(p_tenant, (u->>'now')::bigint, '[]');
        END IF;
        s := crm.without_forgotten(s);
    END IF;

    -- Documents.
    IF u->'deletes' <> '[]' THEN
        v_counts := crm.delete_documents(p_tenant, u->'deletes');
    END IF;
    IF jsonb_array_length(u->'puts') > 4 AND NOT u ? 'repeats' THEN
        SELECT * INTO v_counts, v_revisions FROM crm.put_documents(p_tenant, jsonb_build_array(u), v_counts);
    ELSE
        FOR n IN 0 .. jsonb_array_length(u->'puts') - 1 LOOP
            e := u->'puts'->n;
            v_revision := NULL;
            IF e->5 = 'true' THEN  -- it is new, or has no indexes that change
                INSERT INTO crm.documents VALUES (p_tenant, e->>0, e->>1, 1, e->>2, e->3)
                ON CONFLICT (tenant, collection, id) DO UPDATE SET revision = documents.revision + 1, body = excluded.body
                WHERE documents.indexes = excluded.indexes RETURNING revision INTO v_revision;
            END IF;
            IF v_revision IS NULL THEN
                SELECT * INTO v_counts, v_some FROM crm.put_few(p_tenant, jsonb_build_array(e), v_counts);
                v_revision := v_some[1];
            ELSIF v_revision = 1 THEN
                IF e->3 <> '{}' THEN
                    INSERT INTO crm.keys SELECT p_tenant, e->>0, k.name, k.key, e->>1 FROM crm.keys_of(e->3, '{}') k;
                END IF;
                v_counts := v_counts || jsonb_build_array(jsonb_build_array(e->0, crm.names(e->3), NULL));
            END IF;
            v_revisions := v_revisions || v_revision;
        END LOOP;
    END IF;
    IF v_counts <> '[]' THEN
        v_done := crm.counted(p_tenant, v_counts);
    END IF;

    -- The change log and the log.
    IF u ? 'erases' OR jsonb_array_length(u->'changes') > 1 THEN
        s := crm.write_changes(s, jsonb_build_array(u));
    ELSIF u->'changes' <> '[]' THEN
        e := u->'changes'->0;
        s.newest := s.newest + 1;
        INSERT INTO crm.changes VALUES (p_tenant, s.newest, e->>3, e->>0, e->>1, e->>2, e->>4);
    END IF;
    FOR n IN 0 .. jsonb_array_length(u->'entries') - 1 LOOP
        e := u->'entries'->n;
        s.head_seq := s.head_seq + 1;
        v_text := concat(e->>'before', s.head_seq, e->>'after');
        v_hash := encode(sha256(convert_to(concat(s.head_hash, E'\n', v_text), 'UTF8')), 'hex');
        INSERT INTO crm.log VALUES (
            p_tenant, s.head_seq, e->>'id', e->>'received_at', e->>'payload_type', e->>'status', e->>'signature_result',
            (e->>'key_version')::bigint, e->>'request_id', s.head_hash, v_hash, v_text);
        IF e->>'key_version' IS NOT NULL THEN
            UPDATE crm.key_uses SET uses = uses + 1, last_used_at = greatest(last_used_at, e->>'received_at')
            WHERE tenant = p_tenant AND key_version = (e->>'key_version')::bigint;
            IF NOT FOUND THEN
                INSERT INTO crm.key_uses VALUES (p_tenant, (e->>'key_version')::bigint, 1, e->>'received_at');
            END IF;
        END IF;
        s.head_hash := v_hash;
    END LOOP;

    s.seq := s.seq + 1;
    s.revision := s.revision + (u->>'revises')::bigint;
    UPDATE crm.stores SET seq = s.seq, revision = s.revision, head_seq = s.head_seq, head_hash = s.head_hash,
        newest = s.newest, expires = least(s.expires, (u->>'expires')::bigint), forgotten = s.forgotten
    WHERE tenant = p_tenant;
    RETURN concat('[[', s.seq, ',', s.revision, ',', s.head_seq, ',"', s.head_hash, '",[',
                  array_to_string(v_revisions, ','), ']]]');
END $$;

-- Commit several units in their order; a list with their outcomes. They come in lists of those that are written
-- together: in a list with several, each expects the workspace and documents alone, and none reads or writes what one
-- before it writes.
CREATE FUNCTION crm.commit_together(p_tenant text, p_lists jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    -- No plan depends on the arguments, and none is worth compiling, though PostgreSQL expects many rows of each function.
    v_set text := set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('jit', 'off', true);
    s crm.stores := crm.store(p_tenant, true);
    v_units jsonb;
    u jsonb;
    v_refused jsonb;  -- {number of the unit: refusal}
    v_left jsonb;
    v_now bigint;
    v_revisions bigint[];
    v_at integer;
    v_puts integer;
    v_outcomes text := '';
BEGIN
    FOR l IN 0 .. jsonb_array_length(p_lists) - 1 LOOP
        v_units := p_lists->l;
        u := v_units->0;
        IF jsonb_array_length(v_units) = 1 THEN
            v_refused := crm.admit(s, u);
            v_refused := CASE WHEN v_refused IS NOT NULL THEN jsonb_build_object('0', v_refused) END;
        ELSE
            v_refused := crm.refusals(s, v_units);
        END IF;
        v_left := v_units;
        IF v_refused IS NOT NULL THEN
            v_left := (SELECT coalesce(jsonb_agg(e.value ORDER BY e.n), '[]')
                       FROM jsonb_array_elements(v_units) WITH ORDINALITY e(value, n)
                       WHERE NOT v_refused ? (e.n - 1)::text);
        END IF;
        IF v_left <> '[]' THEN
            v_now := (v_left->-1->>'now')::bigint;
            IF s.expires < v_now THEN
                IF jsonb_array_length(v_units) > 1 THEN
                    PERFORM crm.forget(p_tenant, v_now, '[]');
                END IF;
                s := crm.without_forgotten(s);
            END IF;
            v_revisions := crm.write_documents(p_tenant, v_left);
            s := crm.write_changes(s, v_left);
        END IF;
        v_at := 0;
        FOR n IN 0 .. jsonb_array_length(v_units) - 1 LOOP
            IF v_refused ? n::text THEN
                v_outcomes := concat(v_outcomes, ',', v_refused->n::text);
                CONTINUE;
            END IF;
            u := v_units->n;
            v_puts := jsonb_array_length(u->'puts');
            s.expires := least(s.expires, (u->>'expires')::bigint);
            IF u->'entries' <> '[]' THEN
                s := crm.write_log(s, u->'entries');
            END IF;
            s.seq := s.seq + 1;
            s.revision := s.revision + (u->>'revises')::bigint;
            v_outcomes := concat(v_outcomes, ',[', s.seq, ',', s.revision, ',', s.head_seq, ',"', s.head_hash, '",[',
                                 array_to_string(v_revisions[v_at + 1 : v_at + v_puts], ','), ']]');
            v_at := v_at + v_puts;
        END LOOP;
    END LOOP;
    UPDATE crm.stores SET seq = s.seq, revision = s.revision, head_seq = s.head_seq, head_hash = s.head_hash,
        newest = s.newest, expires = s.expires, forgotten = s.forgotten WHERE tenant = p_tenant;
    RETURN concat('[', substr(v_outcomes, 2), ']');
END $$;
