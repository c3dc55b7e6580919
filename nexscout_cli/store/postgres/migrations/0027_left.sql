-- Attempts that nobody looks after: `resolve` is an admin's decision on a request's unknown ones, `recover` settles those of dead
-- programs and those that grew old. Each is one round trip and one transaction that has all books to itself, for it takes only
-- what it can find: who else writes waits for it.

-- The end of such an attempt: posted at `cost`, given back where that is null. Returns what is left to do for `finish`. Its tokens
-- are what its hold allowed, since nobody reported any; so nothing is learned of the prediction but the cost.
CREATE FUNCTION end_attempt(t attempts, cost bigint, why text, p jsonb, stamp text) RETURNS jsonb LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE
  r requests;
  is_posted boolean := cost IS NOT NULL;
  most jsonb := jsonb_build_array(coalesce(t.plan->'max_input_tokens', t.plan->'forecast'->2),
    coalesce(t.plan->'max_output_tokens', t.plan->'forecast'->3)); -- by name before settlements were kept
  made jsonb;
BEGIN
  SELECT * INTO r FROM requests WHERE request_id = t.request_id;
  UPDATE attempts SET state = CASE WHEN is_posted THEN 'posted' ELSE 'voided' END, actual = cost,
    reason = CASE WHEN is_posted THEN reason ELSE why END, settled_at = stamp, claim = CASE r.state WHEN 'open' THEN claim END
    WHERE request_id = t.request_id AND id = t.id;
  made := jsonb_build_object('accounts', settle(t.id, jsonb_build_object('usd', cost,
    'tokens', CASE WHEN is_posted THEN t.hold_tokens END), why, p, stamp));
  IF is_posted THEN
    UPDATE ai_cost_predictions SET actual_cost_usd = coalesce(actual_cost_usd, 0) + cost WHERE request_id = t.request_id;
    made := made || jsonb_build_object('usage', jsonb_build_object('request_id', t.request_id, 'n', t.n, 'user_id', r.user_id,
      'feature', r.feature, 'model_used', t.model, 'outcome', 'posted', 'input_tokens', most->0, 'output_tokens', most->1,
      'cost_usd', cost, 'mode', t.plan->'mode', 'routing_reason', t.plan->'routing_reason',
      'compression_applied', (t.plan->>'compressed')::boolean::int, 'baseline_usd', cost, 'created_at', stamp,
      'metadata', jsonb_build_object('delivered', false, 'flags', CASE WHEN cost > t.hold
        THEN jsonb_build_array('estimated', why, 'provider_excess') ELSE jsonb_build_array('estimated', why) END)));
  END IF;
  -- The request is closed once none of its attempts is live or unknown; one that was answered stays posted.
  IF r.state <> 'posted' AND NOT EXISTS (SELECT 1 FROM attempts WHERE request_id = t.request_id
      AND state IN ('held', 'sent', 'submitted', 'unknown')) THEN
    made := made || jsonb_build_object('accounts', made->'accounts' || end_request(t.request_id, 'voided', 0, p, stamp));
  END IF;
  RETURN made;
END $$;

-- Decide the unknown attempts of the one request whose id begins with `request`, and is before `past`: posted at `cost` in all, or
-- given back where that is null. Returns how many there were. NX001 where there is anything to be said to the admin, or the actor
-- is none. `within`: the answer to an earlier try, so many seconds ago, was lost; what that one has done is counted.
CREATE FUNCTION resolve(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text;
  request text := p->>'request';
  cost bigint := (p->>'cost')::bigint;
  why text := CASE WHEN p->>'cost' IS NULL THEN 'resolved by ' || (p->>'actor') ELSE 'resolved' END;
  found text[];
  t attempts;
  made jsonb[] := '{}';
  many bigint;
  held numeric;
BEGIN
  PERFORM pg_advisory_xact_lock(1853358082, 0);
  stamp := time_of_steps(p->>'now');
  SELECT array_agg(request_id) INTO found FROM (
    SELECT request_id FROM ai_model_usage WHERE request_id >= request AND request_id < p->>'past'
    UNION SELECT request_id FROM requests WHERE request_id >= request AND request_id < p->>'past'
    UNION SELECT request_id FROM ai_cost_predictions WHERE request_id >= request AND request_id < p->>'past'
    ORDER BY 1 LIMIT 2) s;
  IF found[1] <> request AND found[2] IS NULL AND length(request) >= (p->>'least')::int THEN
    request := found[1];
  END IF;
  SELECT count(*), sum(hold) INTO many, held FROM attempts WHERE request_id = request AND state = 'unknown';
  IF NOT EXISTS (SELECT 1 FROM users WHERE user_id = p->>'actor' AND role = 'admin')
      OR cost > held AND NOT (p->>'beyond_hold')::boolean THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF many = 0 THEN
    IF p ? 'within' THEN
      SELECT count(*) INTO many FROM attempts a WHERE request_id = request
        AND settled_at >= stamp_after(stamp, make_interval(secs => -(p->>'within')::float8)) AND CASE state
          WHEN 'posted' THEN cost IS NOT NULL AND EXISTS (SELECT 1 FROM ledger_entries e
            WHERE e.attempt = a.id AND e.kind = 'post' AND e.reason = why AND e.actor = p->>'actor')
          WHEN 'voided' THEN cost IS NULL AND reason = why END
        HAVING cost IS NULL OR sum(actual) = cost;
    END IF;
    IF coalesce(many, 0) = 0 THEN
      RAISE 'no plain case' USING ERRCODE = 'NX001';
    END IF;
    RETURN many;
  END IF;
  FOR t IN SELECT * FROM attempts WHERE request_id = request AND state = 'unknown' ORDER BY n LOOP
    made := array_append(made, end_attempt(t, cost, why, p, stamp));
    cost := least(cost, 0); -- all of it is the first one's
  END LOOP;
  PERFORM finish(made, 'NX001', '[]');
  RETURN many;
END $$;

-- Settle what is left behind, as the program has found and judged it: attempts `left`, [id, request, state, fate], where they are
-- still in that state; requests `abandoned` between two attempts, where they still are; claims that outlived their request; and
-- idempotency keys that were kept for `keys_kept` seconds. Returns how many attempts met each fate.
CREATE FUNCTION recover(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text;
  c record;
  t attempts;
  request text;
  made jsonb[] := '{}';
  counted jsonb := '{"posted": 0, "voided": 0, "unknown": 0}';
BEGIN
  PERFORM pg_advisory_xact_lock(1853358082, 0);
  stamp := time_of_steps(p->>'now');
  FOR c IN SELECT (l->>0)::bigint AS id, l->>1 AS request, l->>2 AS state, l->>3 AS fate
      FROM jsonb_array_elements(p->'left') WITH ORDINALITY AS x(l, n) ORDER BY n LOOP
    SELECT * INTO t FROM attempts WHERE request_id = c.request AND id = c.id AND state = c.state;
    CONTINUE WHEN NOT FOUND; -- settled by another program meanwhile
    -- Age alone never gives back what was sent.
    PERFORM require_that(CASE c.fate WHEN 'posted' THEN t.state = 'unknown' WHEN 'unknown' THEN t.state = 'sent'
      WHEN 'voided' THEN t.state = 'held' OR t.state = 'sent' AND t.hold = 0 END, 'that fate of an attempt');
    IF c.fate = 'unknown' THEN
      UPDATE attempts SET state = 'unknown', reason = 'its process died while it was in flight', failure = 'other',
        settled_at = stamp WHERE request_id = t.request_id AND id = t.id;
      UPDATE requests SET state = 'unknown' WHERE request_id = t.request_id AND state = 'open';
      IF FOUND THEN
        PERFORM let_go_of_claims(t.request_id);
      END IF;
    ELSE
      made := array_append(made, CASE c.fate WHEN 'posted' THEN end_attempt(t, t.hold, 'aged', p, stamp)
        ELSE end_attempt(t, NULL, 'its process died', p, stamp) END);
    END IF;
    counted := jsonb_set(counted, ARRAY[c.fate], to_jsonb((counted->>c.fate)::bigint + 1));
  END LOOP;
  -- Nothing of theirs is in flight, so nothing was delivered; energy stays held while an attempt is unknown.
  FOR request IN SELECT r.request_id FROM jsonb_array_elements_text(p->'abandoned') AS x(name)
      JOIN requests r ON r.request_id = name WHERE r.state = 'open' AND NOT EXISTS (SELECT 1 FROM attempts a
        WHERE a.request_id = r.request_id AND a.state IN ('held', 'sent', 'submitted')) LOOP
    IF EXISTS (SELECT 1 FROM attempts WHERE request_id = request AND state = 'unknown') THEN
      UPDATE requests SET state = 'unknown' WHERE request_id = request;
      PERFORM let_go_of_claims(request);
    ELSE
      made := array_append(made, jsonb_build_object('accounts', end_request(request, 'voided', 0, p, stamp)));
    END IF;
  END LOOP;
  UPDATE attempts SET claim = NULL WHERE claim IS NOT NULL AND state IN ('posted', 'voided')
    AND EXISTS (SELECT 1 FROM requests r WHERE r.request_id = attempts.request_id AND r.state <> 'open');
  UPDATE requests SET key = NULL, answer = NULL WHERE key IS NOT NULL AND state IN ('posted', 'voided')
    AND created_at < stamp_after(stamp, make_interval(secs => -(p->>'keys_kept')::float8));
  PERFORM finish(made, 'NX001', '[]');
  RETURN counted;
END $$;

DROP FUNCTION end_stale_claims(), expire_keys(text);
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve(jsonb), recover(jsonb) TO nexscout_service;
