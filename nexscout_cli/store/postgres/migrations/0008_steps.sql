-- The steps themselves; see 0007.

-- T1. The request's first attempt: accounts checked and reduced, the request, the attempt and its prediction entered.
CREATE FUNCTION hold(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text := begin_step(p);
  subject text := p->>'user';
  request text := p->>'request';
  u users := subject_of(p, stamp);
  the_attempt bigint;
  b record;
  own bigint[] := '{}';
  amounts bigint[] := '{}';
  moved int;
BEGIN
  IF u.reads_only <> 0 THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF (SELECT value FROM meta WHERE key = 'world_version') <> p->>'version' THEN
    RAISE 'the world has moved' USING ERRCODE = 'NX002';
  END IF;
  IF p ? 'key' AND EXISTS (SELECT 1 FROM requests WHERE user_id = subject AND key = p->>'key') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at)
  VALUES (request, subject, p->'prediction'->>2, p->>'key', p->>'fingerprint', 'open', stamp)
  ON CONFLICT (request_id) DO NOTHING;
  IF NOT FOUND THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim, created_at)
  VALUES (request, 1, p->>'model', p->>'price', (p->>'estimate')::bigint, (p->>'hold')::bigint, (p->>'hold_tokens')::bigint,
    'held', p->>'owner', stamp_of(stamp::timestamptz + make_interval(secs => (p->>'seconds')::float8)), p->'plan',
    coalesce(p->>'claim', request || '/1'), stamp)
  ON CONFLICT (claim) WHERE claim IS NOT NULL DO NOTHING RETURNING id INTO the_attempt;
  IF the_attempt IS NULL THEN
    RAISE 'another request is open' USING ERRCODE = 'NX003';
  END IF;
  FOR b IN
    SELECT w.*, a.id, a.granted, a.owner IS NOT NULL AS is_open FROM (
      SELECT w->>'owner' AS owner, w->>'unit' AS unit, (w->>'cap')::bigint AS cap, (w->>'amount')::bigint AS amount,
        CASE w->>'window' WHEN 'day' THEN left(stamp, 10) WHEN 'month' THEN left(stamp, 7)
          WHEN 'week' THEN to_char(left(stamp, 10)::date, 'IYYY-"W"IW') ELSE w->>'window' END AS period,
        (w->>'entered')::boolean AS entered
      FROM jsonb_array_elements(p->'budgets') AS x(w)) w
    LEFT JOIN accounts a ON a.owner = w.owner AND a.kind = w.unit AND a.period = w.period
    ORDER BY w.owner <> subject, w.owner = '*', a.id
  LOOP
    IF b.entered AND NOT b.is_open AND b.owner = subject AND length(b.period) = 10 THEN -- the first call of a day
      INSERT INTO accounts (owner, kind, period, granted) VALUES (subject, b.unit, b.period, b.cap) RETURNING id INTO b.id;
      IF b.cap IS NOT NULL THEN
        INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at)
        VALUES (b.id, 'grant', b.cap, 'cap', p->>'actor', stamp);
      END IF;
    ELSIF (b.granted IS DISTINCT FROM b.cap AND b.is_open) OR (b.entered AND NOT b.is_open) THEN
      RAISE 'no plain case' USING ERRCODE = 'NX001'; -- to be opened, or its cap is another one
    END IF;
    IF b.entered THEN
      own := own || b.id;
      amounts := amounts || b.amount;
    END IF;
  END LOOP;
  IF (p->>'energy')::bigint > 0 THEN
    SELECT id INTO b FROM accounts WHERE owner = subject AND kind = 'energy' AND period = 'prepaid';
    IF NOT FOUND THEN
      RAISE 'no plain case' USING ERRCODE = 'NX001';
    END IF;
    own := b.id || own;
    amounts := (p->>'energy')::bigint || amounts;
  END IF;
  FOR i IN 1 .. coalesce(array_length(own, 1), 0) LOOP -- the subject's first, the installation's last
    UPDATE accounts SET held = held + amounts[i] WHERE id = own[i]
      AND (granted IS NULL OR granted - base - held - spent >= amounts[i]);
    IF NOT FOUND THEN
      RAISE 'it is not covered' USING ERRCODE = 'NX002';
    END IF;
  END LOOP;
  INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at)
  SELECT the_attempt, account, 'hold', amount, p->>'actor', stamp FROM unnest(own, amounts) AS x(account, amount);
  PERFORM enter_prediction(p, p->'prediction', NULL, stamp);
  RETURN jsonb_build_object('id', the_attempt, 'profile', profile_of(subject, p->>'known'));
END $$;

-- The subject of an attempt, where the actor may act for it; the attempt moves to `to_state`, where it may.
CREATE FUNCTION move(p jsonb, stamp text, to_state text, settled boolean, ended boolean) RETURNS attempts LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE t attempts;
BEGIN
  PERFORM subject_of(p, NULL);
  UPDATE attempts SET state = to_state, actual = (p->>'actual')::bigint, reason = coalesce(p->>'reason', reason),
    failure = coalesce(p->>'failure', failure), provider_id = coalesce(p->>'provider_id', provider_id),
    settled_at = CASE WHEN settled THEN stamp END, claim = CASE WHEN NOT ended THEN claim END
  WHERE id = (p->>'id')::bigint AND request_id = p->>'request' AND CASE state WHEN 'held' THEN to_state IN ('sent', 'voided')
    WHEN 'sent' THEN to_state IN ('posted', 'unknown', 'voided') WHEN 'unknown' THEN to_state IN ('posted', 'voided') END
  RETURNING * INTO t;
  IF NOT FOUND OR NOT EXISTS (SELECT 1 FROM requests WHERE request_id = p->>'request' AND user_id = p->>'user') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  RETURN t;
END $$;

-- T2
CREATE FUNCTION mark_sent(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM move(p, begin_step(p), 'sent', false, false);
  RETURN '{}';
END $$;

CREATE FUNCTION mark_unknown(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM move(p, begin_step(p), 'unknown', true, false);
  RETURN '{}';
END $$;

CREATE FUNCTION void(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p); t attempts := move(p, stamp, 'voided', true, false);
BEGIN
  PERFORM settle(t.id, p->>'user', '{"usd": null, "tokens": null}', '', p, stamp);
  RETURN '{}';
END $$;

-- T3
CREATE FUNCTION post(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text := begin_step(p);
  t attempts;
  seen text;
  ended boolean := p ? 'delivered';
  tokens bigint := (p->>'tokens')::bigint;
BEGIN
  IF p ? 'profile' THEN
    seen := profile_learned(p);
    IF seen IS NULL THEN
      RETURN jsonb_build_object('profile', profile_of(p->>'user', NULL));
    END IF;
  END IF;
  t := move(p, stamp, 'posted', true, ended);
  PERFORM settle(t.id, p->>'user', p->'spend', p->>'flags', p, stamp);
  PERFORM enter_usage(p, p->'usage', stamp);
  UPDATE ai_cost_predictions SET actual_cost_usd = coalesce(actual_cost_usd, 0) + (p->>'actual')::bigint,
    actual_tokens = tokens + CASE WHEN t.n > 1 THEN coalesce(actual_tokens, 0) ELSE 0 END
  WHERE request_id = t.request_id;
  UPDATE ai_cost_predictions SET prediction_accuracy = CASE WHEN (p->>'quoted')::bigint > 0
      THEN greatest(0, 1 - abs(actual_tokens - (p->>'quoted')::bigint) / (p->>'quoted')::float8)
      ELSE (actual_tokens = 0 AND (p->>'quoted')::bigint = 0)::int END
  WHERE request_id = t.request_id;
  PERFORM learn(p->'lesson');
  IF ended THEN
    IF t.n = 1 THEN
      UPDATE requests SET state = 'posted', answer = coalesce(p->>'answer', answer) WHERE request_id = t.request_id;
    ELSE
      PERFORM end_request(t.request_id, 'posted', (p->>'delivered')::bigint, p, stamp);
    END IF;
    PERFORM keep_answer(p - 'answer' || CASE WHEN t.n > 1 AND p ? 'answer' THEN jsonb_build_object('answer', p->'answer')
      ELSE '{}' END, stamp);
  END IF;
  RETURN jsonb_build_object('seen', seen, 'alerts', EXISTS (SELECT 1 FROM alerts));
END $$;

-- The answer of an attempt that was posted without a delivery is delivered after all.
CREATE FUNCTION deliver(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p); seen text;
BEGIN
  PERFORM subject_of(p, NULL);
  IF NOT EXISTS (SELECT 1 FROM requests r JOIN attempts USING (request_id) WHERE request_id = p->>'request'
      AND id = (p->>'id')::bigint AND user_id = p->>'user' AND r.state = 'open') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF p ? 'profile' THEN
    seen := profile_learned(p);
    IF seen IS NULL THEN
      RETURN jsonb_build_object('profile', profile_of(p->>'user', NULL));
    END IF;
  END IF;
  UPDATE ai_model_usage SET energy = (p->>'delivered')::bigint, baseline_usd = (p->>'baseline')::bigint,
    compression_saved_usd = (p->>'compression')::bigint,
    metadata = metadata || jsonb_build_object('delivered', true, 'warnings', p->'warnings')
  WHERE request_id = p->>'request' AND n = (p->>'n')::bigint;
  PERFORM end_request(p->>'request', 'posted', (p->>'delivered')::bigint, p, stamp);
  PERFORM keep_answer(p, stamp);
  PERFORM learn(p->'lesson');
  RETURN jsonb_build_object('seen', seen);
END $$;

-- Nothing was delivered: energy is given back, and the failure is on record.
CREATE FUNCTION fail(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p); seen text;
BEGIN
  PERFORM subject_of(p, NULL);
  IF p ? 'profile' THEN
    seen := profile_learned(p);
    IF seen IS NULL THEN
      RETURN jsonb_build_object('profile', profile_of(p->>'user', NULL));
    END IF;
  END IF;
  PERFORM end_request(p->>'request', CASE WHEN EXISTS (
    SELECT 1 FROM attempts WHERE request_id = p->>'request' AND state = 'unknown') THEN 'unknown' ELSE 'voided' END, 0, p, stamp);
  PERFORM enter_usage(p, p->'usage', stamp);
  RETURN jsonb_build_object('seen', seen);
END $$;

-- A refused run: its prediction, and nothing else.
CREATE FUNCTION refuse(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p);
BEGIN
  PERFORM subject_of(p, NULL);
  PERFORM enter_prediction(p, p->'prediction', p->>'reason', stamp);
  RETURN '{}';
END $$;

-- A cached answer that was given.
CREATE FUNCTION hit(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p); seen text;
BEGIN
  PERFORM subject_of(p, stamp);
  IF p ? 'key' AND EXISTS (SELECT 1 FROM requests WHERE user_id = p->>'user' AND key = p->>'key') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF p ? 'profile' THEN
    seen := profile_learned(p);
    IF seen IS NULL THEN
      RETURN jsonb_build_object('profile', profile_of(p->>'user', NULL));
    END IF;
  END IF;
  IF p ? 'key' THEN
    INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, answer, created_at)
    VALUES (p->>'request', p->>'user', p->'usage'->>'feature', p->>'key', p->>'fingerprint', 'posted', p->>'answer', stamp);
  END IF;
  IF (p->>'cached_id')::bigint > 0 THEN
    UPDATE cached_ai_responses SET hit_count = hit_count + 1, last_used_at = stamp WHERE id = (p->>'cached_id')::bigint;
  END IF;
  PERFORM enter_usage(p, p->'usage', stamp);
  RETURN jsonb_build_object('seen', seen);
END $$;

-- Many steps at once, each whole or not at all: one commit, one round trip.
CREATE FUNCTION steps(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE one jsonb; told jsonb := '[]'; made jsonb;
BEGIN
  -- All locks first, in order: two groups never wait for each other in a circle.
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0);
  PERFORM pg_advisory_xact_lock(1853358083, n) FROM (
    SELECT DISTINCT (s->>'lock')::int AS n FROM jsonb_array_elements(p) AS x(s) ORDER BY 1) AS sorted;
  PERFORM 1 FROM accounts WHERE id IN (
      SELECT e.account FROM jsonb_array_elements(p) AS x(s) JOIN ledger_entries e ON e.attempt = (s->>'id')::bigint
      WHERE e.kind = 'hold' AND s->>'step' <> 'mark_sent'
    UNION
      SELECT a.id FROM jsonb_array_elements(p) AS x(s), jsonb_array_elements(s->'budgets') AS y(w)
      JOIN accounts a ON a.owner = w->>'owner' AND a.kind = w->>'unit' WHERE s->>'step' = 'hold'
        AND (w->>'entered')::boolean AND w->>'owner' <> s->>'user' AND a.period = ANY (ARRAY[
          left(coalesce(s->>'now', stamp_of(clock_timestamp())), 10), left(coalesce(s->>'now', stamp_of(clock_timestamp())), 7),
          'ever']))
    AND substr(owner, 1, 1) = '*' ORDER BY owner = '*', id FOR UPDATE;
  FOR one IN SELECT s FROM jsonb_array_elements(p) WITH ORDINALITY AS x(s, n) ORDER BY n LOOP
    BEGIN
      CASE one->>'step'
        WHEN 'hold' THEN made := hold(one);
        WHEN 'mark_sent' THEN made := mark_sent(one);
        WHEN 'post' THEN made := post(one);
        WHEN 'void' THEN made := void(one);
        WHEN 'mark_unknown' THEN made := mark_unknown(one);
        WHEN 'deliver' THEN made := deliver(one);
        WHEN 'fail' THEN made := fail(one);
        WHEN 'refuse' THEN made := refuse(one);
        WHEN 'hit' THEN made := hit(one);
        WHEN 'learned' THEN -- by several steps of one subject, if all of them were made
          made := jsonb_build_object('seen', profile_learned(one));
          IF made->'seen' = 'null' OR EXISTS (
              SELECT 1 FROM jsonb_array_elements(one->'after') AS x(i) WHERE told->(i::int) ? 'error') THEN
            RAISE 'not learned' USING ERRCODE = 'NX004';
          END IF;
      END CASE;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE = 'NX004' OR SQLSTATE LIKE '40%' OR SQLSTATE LIKE '5%' THEN -- then nothing of the group is made
        RAISE;
      END IF;
      made := jsonb_build_object('error', CASE WHEN SQLSTATE LIKE 'NX%' THEN SQLSTATE ELSE 'NX001' END);
    END;
    told := told || jsonb_build_array(made);
  END LOOP;
  RETURN told;
END $$;

DO $$ DECLARE name text; BEGIN
  REVOKE ALL ON lessons FROM PUBLIC;
  GRANT SELECT, INSERT, DELETE ON lessons TO nexscout_service;
  ALTER TABLE lessons ENABLE ROW LEVEL SECURITY;
  ALTER TABLE lessons FORCE ROW LEVEL SECURITY;
  CREATE POLICY service ON lessons TO nexscout_service USING (true);
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
  FOREACH name IN ARRAY ARRAY['hold', 'mark_sent', 'mark_unknown', 'void', 'post', 'deliver', 'fail', 'refuse', 'hit',
      'steps'] LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %I(jsonb) TO nexscout_service', name);
  END LOOP;
END $$;
