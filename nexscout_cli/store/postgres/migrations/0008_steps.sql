-- The steps themselves; see 0007. All they look up they find by an index: their plans are made once.

-- T1, with T2 where the call follows at once (`state` sent). The request's first attempt: accounts checked and reduced, the
-- request, the attempt and its prediction entered.
CREATE FUNCTION hold(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text := begin_step(p);
  subject text := p->>'user';
  request text := p->>'request';
  u users := subject_of(p, stamp);
  the_attempt bigint;
  b record;
  items jsonb := '[]';
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
    p->>'state', p->>'owner', stamp_after(stamp, make_interval(secs => (p->>'seconds')::float8)), p->'plan',
    coalesce(p->>'claim', request || '/1'), stamp)
  ON CONFLICT (claim) WHERE claim IS NOT NULL DO NOTHING RETURNING id INTO the_attempt;
  IF the_attempt IS NULL THEN
    RAISE 'another request is open' USING ERRCODE = 'NX003';
  END IF;
  FOR b IN
    SELECT w.*, a.id, a.granted FROM (
      SELECT w->>'owner' AS owner, w->>'unit' AS unit, (w->>'cap')::bigint AS cap, (w->>'amount')::bigint AS amount,
        CASE w->>'window' WHEN 'day' THEN left(stamp, 10) WHEN 'month' THEN left(stamp, 7)
          WHEN 'week' THEN to_char(left(stamp, 10)::date, 'IYYY-"W"IW') ELSE w->>'window' END AS period,
        (w->>'entered')::boolean AS entered
      FROM jsonb_array_elements(p->'budgets') AS x(w)) w
    LEFT JOIN accounts a ON a.owner = w.owner AND a.kind = w.unit AND a.period = w.period
  LOOP
    IF b.entered AND b.id IS NULL AND b.owner = subject AND length(b.period) = 10 THEN -- the first call of a day
      INSERT INTO accounts (owner, kind, period, granted) VALUES (subject, b.unit, b.period, b.cap) RETURNING id INTO b.id;
      IF b.cap IS NOT NULL THEN
        INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at)
        VALUES (b.id, 'grant', b.cap, 'cap', p->>'actor', stamp);
      END IF;
    ELSIF (b.id IS NULL AND b.entered) OR (b.id IS NOT NULL AND b.granted IS DISTINCT FROM b.cap AND b.unit <> 'energy') THEN
      RAISE 'no plain case' USING ERRCODE = 'NX001'; -- to be opened, or its cap is another one
    END IF;
    IF b.entered THEN
      items := items || jsonb_build_array(jsonb_build_array(b.id, b.amount, 0, 0));
    END IF;
  END LOOP;
  INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at)
  SELECT the_attempt, (i->>0)::bigint, 'hold', (i->>1)::bigint, p->>'actor', stamp FROM jsonb_array_elements(items) AS x(i);
  PERFORM enter_prediction(p, p->'prediction', NULL, stamp);
  RETURN jsonb_build_object('id', the_attempt, 'profile', profile_of(subject, p->>'known'), 'accounts', items);
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
CREATE FUNCTION mark_sent(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM move(p, begin_step(p), 'sent', false, false);
  RETURN '{}';
END $$;

CREATE FUNCTION mark_unknown(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM move(p, begin_step(p), 'unknown', true, false);
  RETURN '{}';
END $$;

CREATE FUNCTION void(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p); t attempts := move(p, stamp, 'voided', true, false);
BEGIN
  RETURN jsonb_build_object('accounts', settle(t.id, '{"usd": null, "tokens": null}', '', p, stamp));
END $$;

-- What a step returns for `finish`.
CREATE FUNCTION left_to_do(p jsonb, stamp text, items jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp
AS $$
DECLARE left_over jsonb := jsonb_build_object('accounts', items);
BEGIN
  IF p ? 'usage' THEN
    left_over := left_over || jsonb_build_object('usage', p->'usage' || jsonb_build_object('created_at', stamp));
  END IF;
  IF p ? 'lesson' THEN
    left_over := left_over || jsonb_build_object('lesson', p->'lesson');
  END IF;
  RETURN left_over;
END $$;

-- T3
CREATE FUNCTION post(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text := begin_step(p);
  t attempts;
  items jsonb;
  ended boolean := p ? 'delivered';
  tokens bigint := (p->>'tokens')::bigint;
  quoted bigint := (p->>'quoted')::bigint;
BEGIN
  t := move(p, stamp, 'posted', true, ended);
  items := settle(t.id, p->'spend', p->>'flags', p, stamp);
  IF t.n > 1 THEN -- a request's tokens are those of all its attempts
    tokens := tokens + coalesce((SELECT actual_tokens FROM ai_cost_predictions WHERE request_id = t.request_id), 0);
  END IF;
  UPDATE ai_cost_predictions SET actual_cost_usd = coalesce(actual_cost_usd, 0) + (p->>'actual')::bigint,
    actual_tokens = tokens, prediction_accuracy = CASE WHEN quoted > 0
      THEN greatest(0, 1 - abs(tokens - quoted) / quoted::float8) ELSE (tokens = 0 AND quoted = 0)::int END
  WHERE request_id = t.request_id;
  IF ended AND t.n = 1 THEN
    UPDATE requests SET state = 'posted', answer = coalesce(p->>'answer', answer) WHERE request_id = t.request_id;
  ELSIF ended THEN
    items := items || end_request(t.request_id, 'posted', (p->>'delivered')::bigint, p, stamp);
  END IF;
  PERFORM keep_answer(p, stamp);
  RETURN left_to_do(p, stamp, items) || jsonb_build_object('alerts', EXISTS (SELECT 1 FROM alerts));
END $$;

-- The answer of an attempt that was posted without a delivery is delivered after all.
CREATE FUNCTION deliver(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p);
BEGIN
  PERFORM subject_of(p, NULL);
  IF NOT EXISTS (SELECT 1 FROM requests r JOIN attempts USING (request_id) WHERE request_id = p->>'request'
      AND id = (p->>'id')::bigint AND user_id = p->>'user' AND r.state = 'open') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  UPDATE ai_model_usage SET energy = (p->>'delivered')::bigint, baseline_usd = (p->>'baseline')::bigint,
    compression_saved_usd = (p->>'compression')::bigint,
    metadata = metadata || jsonb_build_object('delivered', true, 'warnings', p->'warnings')
  WHERE request_id = p->>'request' AND n = (p->>'n')::bigint;
  PERFORM keep_answer(p, stamp);
  RETURN left_to_do(p, stamp, end_request(p->>'request', 'posted', (p->>'delivered')::bigint, p, stamp));
END $$;

-- Nothing was delivered: energy is given back, and the failure is on record.
CREATE FUNCTION fail(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p);
BEGIN
  PERFORM subject_of(p, NULL);
  RETURN left_to_do(p, stamp, end_request(p->>'request', CASE WHEN EXISTS (
    SELECT 1 FROM attempts WHERE request_id = p->>'request' AND state = 'unknown') THEN 'unknown' ELSE 'voided' END, 0, p, stamp));
END $$;

-- A refused run: its prediction, and nothing else.
CREATE FUNCTION refuse(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p);
BEGIN
  PERFORM subject_of(p, NULL);
  PERFORM enter_prediction(p, p->'prediction', p->>'reason', stamp);
  RETURN '{}';
END $$;

-- A cached answer that was given.
CREATE FUNCTION hit(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE stamp text := begin_step(p);
BEGIN
  PERFORM subject_of(p, stamp);
  IF p ? 'key' AND EXISTS (SELECT 1 FROM requests WHERE user_id = p->>'user' AND key = p->>'key') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF p ? 'key' THEN
    INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, answer, created_at)
    VALUES (p->>'request', p->>'user', p->'usage'->>'feature', p->>'key', p->>'fingerprint', 'posted', p->>'answer', stamp);
  END IF;
  IF (p->>'cached_id')::bigint > 0 THEN
    UPDATE cached_ai_responses SET hit_count = hit_count + 1, last_used_at = stamp WHERE id = (p->>'cached_id')::bigint;
  END IF;
  RETURN left_to_do(p, stamp, '[]');
END $$;

CREATE FUNCTION made_by(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$ BEGIN
  CASE p->>'step'
    WHEN 'hold' THEN RETURN hold(p);
    WHEN 'mark_sent' THEN RETURN mark_sent(p);
    WHEN 'post' THEN RETURN post(p);
    WHEN 'void' THEN RETURN void(p);
    WHEN 'mark_unknown' THEN RETURN mark_unknown(p);
    WHEN 'deliver' THEN RETURN deliver(p);
    WHEN 'fail' THEN RETURN fail(p);
    WHEN 'refuse' THEN RETURN refuse(p);
    WHEN 'hit' THEN RETURN hit(p);
  END CASE;
END $$;

-- One step. `stale`: nothing was made, for the subject's profile has changed since it was seen.
CREATE FUNCTION step(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE made jsonb; seen text;
BEGIN
  IF p ? 'profile' THEN
    PERFORM begin_step(p);
    seen := profile_learned(p);
    IF seen IS NULL THEN
      RETURN jsonb_build_object('stale', profile_of(p->>'user', ''));
    END IF;
  END IF;
  made := made_by(p);
  IF made <> '{}' THEN
    PERFORM finish(ARRAY[made], CASE p->>'step' WHEN 'hold' THEN 'NX002' ELSE 'NX001' END);
  END IF;
  RETURN made - '{accounts,usage,lesson}'::text[] || jsonb_build_object('seen', seen);
END $$;

-- Many steps at once, each whole or not at all: one commit, one round trip. What their subjects' profiles learn of them is
-- written once. `stale`: nothing was made, for these profiles have changed since they were seen.
CREATE FUNCTION steps(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE one jsonb; told jsonb[] := '{}'; made jsonb; stale jsonb := '{}'; seen jsonb := '{}';
BEGIN
  -- All locks on subjects first, in order: two groups never wait for each other in a circle.
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0);
  PERFORM pg_advisory_xact_lock(1853358083, n) FROM (
    SELECT DISTINCT (s->>'lock')::int AS n FROM jsonb_array_elements(p->'steps') AS x(s) ORDER BY 1) AS sorted;
  FOR one IN SELECT jsonb_array_elements(p->'learned') LOOP
    made := profile_of(one->>'user', one->'profile'->>'seen');
    IF made IS NOT NULL THEN
      stale := stale || jsonb_build_object(one->>'user', made);
    END IF;
  END LOOP;
  IF stale <> '{}' THEN
    RETURN jsonb_build_object('stale', stale);
  END IF;
  FOR one IN SELECT jsonb_array_elements(p->'steps') LOOP
    BEGIN
      made := made_by(one);
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE '40%' OR SQLSTATE LIKE '5%' THEN -- then nothing of the group is made
        RAISE;
      END IF;
      made := jsonb_build_object('error', CASE WHEN SQLSTATE LIKE 'NX%' THEN SQLSTATE ELSE 'NX001' END);
    END;
    told := told || made;
  END LOOP;
  FOR one IN SELECT jsonb_array_elements(p->'learned') LOOP
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(one->'after') AS x(i) WHERE told[i::int] ? 'error') THEN
      RAISE 'not learned' USING ERRCODE = 'NX004';
    END IF;
    seen := seen || jsonb_build_object(one->>'user', profile_learned(one));
  END LOOP;
  PERFORM finish(told, 'NX004');
  RETURN jsonb_build_object('told', (SELECT jsonb_agg(m - '{accounts,usage,lesson}'::text[] ORDER BY n)
    FROM unnest(told) WITH ORDINALITY AS x(m, n)), 'seen', seen);
END $$;

DO $$ BEGIN
  REVOKE ALL ON lessons FROM PUBLIC;
  GRANT SELECT, INSERT, DELETE ON lessons TO nexscout_service;
  ALTER TABLE lessons ENABLE ROW LEVEL SECURITY;
  ALTER TABLE lessons FORCE ROW LEVEL SECURITY;
  CREATE POLICY service ON lessons TO nexscout_service USING (true);
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION step(jsonb), steps(jsonb) TO nexscout_service;
END $$;
