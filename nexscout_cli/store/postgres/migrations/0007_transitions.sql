-- The steps of a call, each one function: one round trip, one transaction. A step does what it is given whole, or raises:
--   NX001  it is no plain case: the books' general code does it, and says what is wrong if something is;
--   NX002  a balance, a cap or the catalog is no longer what was planned with;
--   NX003  another request under the same cache key is open.
-- They act for an actor and a subject that the service names, so only the service may call them. What is given is one JSON
-- object; what the books derive from it, as the lesson for a profile, the program has worked out.

-- What a call teaches about all users' answers is kept here while somebody else is writing that down.
CREATE TABLE lessons (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lesson jsonb NOT NULL);

-- Both ends of these are written by one step, and neither is ever removed: `db check` looks for what refers to nothing.
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_attempt_fkey, DROP CONSTRAINT ledger_entries_account_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_request_id_fkey;

CREATE FUNCTION stamp_of(moment timestamptz) RETURNS text LANGUAGE sql STABLE
SET search_path = nexscout, pg_temp SET timezone = 'UTC'
AS $$ SELECT to_char(moment, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- Take the locks of a step: on all books with others, on the subject's alone. The time of the step: the caller's clock, else
-- the server's, never before what was seen last.
CREATE FUNCTION begin_step(p jsonb) RETURNS text LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE seen text; stamp text;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0), pg_advisory_xact_lock(1853358083, (p->>'lock')::int);
  SELECT value INTO seen FROM meta WHERE key = 'last_seen';
  stamp := coalesce(p->>'now', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
  IF stamp < seen THEN
    RETURN seen;
  END IF;
  IF left(stamp, 19) > left(seen, 19) THEN
    UPDATE meta SET value = stamp WHERE key = (
      SELECT key FROM meta WHERE key = 'last_seen' AND value < stamp FOR UPDATE SKIP LOCKED);
  END IF;
  RETURN stamp;
END $$;

-- The subject's row, where the actor may act for the subject and nothing is due to it.
CREATE FUNCTION subject_of(p jsonb, stamp text) RETURNS users LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE u users;
BEGIN
  SELECT * INTO u FROM users WHERE user_id = p->>'user';
  IF NOT FOUND OR (p->>'actor' <> u.user_id AND NOT EXISTS (
      SELECT 1 FROM users WHERE user_id = p->>'actor' AND role = 'admin')) THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF stamp IS NOT NULL AND (u.granted_period < left(stamp, 7)
      OR u.daily_token_budget IS DISTINCT FROM (p->'daily'->>u.tier)::bigint) THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  RETURN u;
END $$;

-- End an attempt's holds on accounts of the kinds in `spend`: posted with that amount, given back where that is null.
-- The subject's own accounts are its alone by the step's lock; others are locked in one order, the installation's last.
CREATE FUNCTION settle(the_attempt bigint, subject text, spend jsonb, why text, p jsonb, stamp text) RETURNS void
LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE h record; has_others boolean;
BEGIN
  WITH held AS MATERIALIZED (
    SELECT e.account, e.amount, (spend->>a.kind)::bigint AS spent, a.owner = subject AS is_own
    FROM ledger_entries e JOIN accounts a ON a.id = e.account
    WHERE e.attempt = the_attempt AND e.kind = 'hold' AND spend ? a.kind AND NOT EXISTS (
      SELECT 1 FROM ledger_entries s
      WHERE s.attempt = e.attempt AND s.account = e.account AND (s.kind = 'hold') = false)),
  moved AS (
    UPDATE accounts a SET held = a.held - o.amount, spent = a.spent + coalesce(o.spent, 0)
    FROM held o WHERE a.id = o.account AND o.is_own),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at)
    SELECT the_attempt, account, CASE WHEN spent IS NULL THEN 'void' ELSE 'post' END, coalesce(spent, amount), why,
      p->>'actor', stamp FROM held WHERE is_own)
  SELECT bool_or(NOT is_own) INTO has_others FROM held;
  IF has_others THEN
    FOR h IN SELECT e.account, e.amount, (spend->>a.kind)::bigint AS spent
        FROM ledger_entries e JOIN accounts a ON a.id = e.account
        WHERE e.attempt = the_attempt AND e.kind = 'hold' AND spend ? a.kind AND a.owner <> subject AND NOT EXISTS (
          SELECT 1 FROM ledger_entries s
          WHERE s.attempt = e.attempt AND s.account = e.account AND (s.kind = 'hold') = false)
        ORDER BY a.owner = '*', a.id LOOP
      UPDATE accounts SET held = held - h.amount, spent = spent + coalesce(h.spent, 0) WHERE id = h.account;
      INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at)
      VALUES (the_attempt, h.account, CASE WHEN h.spent IS NULL THEN 'void' ELSE 'post' END, coalesce(h.spent, h.amount), why,
        p->>'actor', stamp);
    END LOOP;
  END IF;
END $$;

-- Close a request, end its claims, and settle its energy: posted with so many units, given back when that is 0.
CREATE FUNCTION end_request(the_request text, the_state text, energy bigint, p jsonb, stamp text) RETURNS void
LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE first bigint;
BEGIN
  UPDATE requests SET state = the_state WHERE request_id = the_request;
  UPDATE attempts SET claim = CASE state WHEN 'unknown' THEN request_id || '/' || n END
    WHERE request_id = the_request AND claim IS NOT NULL;
  SELECT id INTO first FROM attempts WHERE request_id = the_request AND n = 1;
  IF FOUND THEN
    PERFORM settle(first, p->>'user', jsonb_build_object('energy', nullif(energy, 0)), the_state, p, stamp);
  END IF;
END $$;

-- Write what was learned of the subject, which the program folded from the profile as it was when `seen` was told; returns by
-- what it is known now. Null, and nothing is written, where somebody has changed it since.
CREATE FUNCTION profile_learned(p jsonb) RETURNS text LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE v jsonb := p->'profile'->'values'; now_seen text;
BEGIN
  UPDATE user_efficiency_profiles SET efficiency_rating = (v->>0)::float8, avg_token_per_request = (v->>1)::float8,
    predicted_daily_usage = (v->>2)::bigint, total_requests = (v->>3)::bigint, total_tokens_saved = (v->>4)::bigint,
    cache_hits = (v->>5)::bigint, cache_hit_rate = (v->>6)::float8, writing_style_profile = v->>7, common_patterns = v->>8,
    pattern_counts = v->>9, peak_usage_hours = v->>10, preferred_output_length = v->>11, avg_output_tokens = (v->>12)::float8,
    model_preference_score = v->>13, usage_day = v->>14, usage_day_tokens = (v->>15)::bigint, prompt_heads = v->>16
  WHERE user_id = p->>'user' AND xmin = (p->'profile'->>'seen')::xid RETURNING xmin::text INTO now_seen;
  RETURN now_seen;
END $$;

-- The subject's profile, and by what it is known that it is still the same; null where that is `known`.
CREATE FUNCTION profile_of(subject text, known text) RETURNS jsonb LANGUAGE sql STABLE SET search_path = nexscout, pg_temp
AS $$
  SELECT jsonb_build_object('seen', xmin::text, 'values', jsonb_build_array(efficiency_rating, avg_token_per_request,
    predicted_daily_usage, total_requests, total_tokens_saved, cache_hits, cache_hit_rate, writing_style_profile,
    common_patterns, pattern_counts, peak_usage_hours, preferred_output_length, avg_output_tokens, model_preference_score,
    usage_day, usage_day_tokens, prompt_heads))
  FROM user_efficiency_profiles WHERE user_id = subject AND xmin::text IS DISTINCT FROM known
$$;

-- The first row of usage of a request counts it.
CREATE FUNCTION enter_usage(p jsonb, u jsonb, stamp text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp
AS $$ BEGIN
  INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, input_tokens, output_tokens, cost_usd,
    token_classes, provider_cost_usd, energy, mode, routing_reason, compression_applied, cached_response, cache_match,
    prediction_accuracy, baseline_usd, avoided_usd, compression_saved_usd, tokens_saved, metadata, created_at)
  VALUES (p->>'request', coalesce((u->>'n')::bigint, 0), p->>'user', u->>'feature', u->>'model_used', u->>'outcome',
    coalesce((u->>'input_tokens')::bigint, 0), coalesce((u->>'output_tokens')::bigint, 0),
    coalesce((u->>'cost_usd')::bigint, 0), coalesce(u->>'token_classes', '{}'), (u->>'provider_cost_usd')::bigint,
    coalesce((u->>'energy')::bigint, 0), u->>'mode', u->>'routing_reason', coalesce((u->>'compression_applied')::smallint, 0::smallint),
    coalesce((u->>'cached_response')::smallint, 0::smallint), u->>'cache_match', (u->>'prediction_accuracy')::float8,
    coalesce((u->>'baseline_usd')::bigint, 0), coalesce((u->>'avoided_usd')::bigint, 0),
    coalesce((u->>'compression_saved_usd')::bigint, 0), coalesce((u->>'tokens_saved')::bigint, 0),
    coalesce(u->'metadata', '{}'), stamp);
END $$;

CREATE FUNCTION enter_prediction(p jsonb, d jsonb, rejected text, stamp text) RETURNS void LANGUAGE sql
SET search_path = nexscout, pg_temp AS $$
  INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
    predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
    routing_reason, decision, approved, rejected_reason, created_at)
  VALUES (d->>0, d->>1, d->>2, (d->>3)::bigint, (d->>4)::bigint, (d->>5)::bigint, (d->>6)::bigint, (d->>7)::bigint,
    (d->>8)::bigint, (d->>9)::bigint, d->>10, d->>11, d->12, (rejected IS NULL)::int, rejected, stamp)
$$;

-- A level of learned lengths after one more answer: the sums fade and grow, the edge moves within its bounds.
CREATE FUNCTION level_after(old text, one jsonb) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = nexscout, pg_temp AS $$
  SELECT '[' || string_agg(CASE n WHEN 11 THEN least(greatest(x.v + (one->>'step')::float8, (one->>'low')::float8),
      (one->>'high')::float8) ELSE x.v * (one->>'keep')::float8 + (one->'seen'->>(n::int - 1))::float8 END::text, ', ' ORDER BY n)
    || ']'
  FROM unnest(translate(old, '[]', '{}')::float8[]) WITH ORDINALITY AS x(v, n)
$$;

-- Fold one answer into what was learned of all users' answers. Only for whoever has the lock on what is learned.
CREATE FUNCTION fold_lesson(one jsonb) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$ BEGIN
  IF one ? 'thinking' THEN
    INSERT INTO thinking AS t VALUES (one->>'model', 1, (one->>'thinking')::float8, (one->>'thinking')::float8)
    ON CONFLICT (model) DO UPDATE SET mean = t.mean + (excluded.mean - t.mean) / (t.n + 1),
      most = greatest(t.most, excluded.most), n = t.n + 1;
  END IF;
  IF one ? 'ratio' THEN
    INSERT INTO input_factors AS t VALUES (one->>'model', 1, (one->>'ratio')::float8, (one->>'ratio')::float8)
    ON CONFLICT (model) DO UPDATE SET mean = t.mean + (excluded.mean - t.mean) / (t.n + 1),
      most = greatest(t.most, excluded.most), n = t.n + 1;
  END IF;
  IF one ? 'scopes' THEN
    INSERT INTO output_lengths AS l (feature, user_id, model, state)
    SELECT one->>'feature', s->>0, s->>1, level_after(one->>'empty', one) FROM jsonb_array_elements(one->'scopes') AS x(s)
    ON CONFLICT (feature, user_id, model) DO UPDATE SET state = level_after(l.state, one);
  END IF;
END $$;

-- Fold an answer and those that wait, or let it wait: nobody stands in line to teach.
CREATE FUNCTION learn(one jsonb) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE waiting jsonb;
BEGIN
  IF one IS NULL THEN
    RETURN;
  END IF;
  IF NOT pg_try_advisory_xact_lock(1853358084, (one->>'lock')::int) THEN
    INSERT INTO lessons (lesson) VALUES (one);
    RETURN;
  END IF;
  FOR waiting IN WITH gone AS (DELETE FROM lessons WHERE id = ANY (ARRAY(SELECT id FROM lessons ORDER BY id LIMIT 32))
      RETURNING id, lesson) SELECT lesson FROM gone ORDER BY id LOOP
    PERFORM fold_lesson(waiting);
  END LOOP;
  PERFORM fold_lesson(one);
END $$;

-- What reached the user: the answer under its key, and for the cache.
CREATE FUNCTION keep_answer(p jsonb, stamp text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE c jsonb := p->'cached';
BEGIN
  IF p ? 'answer' THEN
    UPDATE requests SET answer = p->>'answer' WHERE request_id = p->>'request';
  END IF;
  IF c IS NOT NULL THEN
    INSERT INTO cached_ai_responses (prompt_hash, user_id, feature, form_hash, request_id, model_used, quality, response_text,
      input_tokens, output_tokens, cost_usd, tokens_saved, created_at, last_used_at, expires_at)
    VALUES (c->>'prompt_hash', p->>'user', c->>'feature', c->>'form_hash', p->>'request', c->>'model',
      (c->>'quality')::float8, c->>'text', (c->>'input_tokens')::bigint, (c->>'output_tokens')::bigint,
      (c->>'cost')::bigint, (c->>'input_tokens')::bigint + (c->>'output_tokens')::bigint, stamp, stamp,
      stamp_of(stamp::timestamptz + make_interval(days => (c->>'days')::int)))
    ON CONFLICT (user_id, prompt_hash) DO UPDATE SET form_hash = excluded.form_hash, request_id = excluded.request_id,
      model_used = excluded.model_used, quality = excluded.quality, response_text = excluded.response_text,
      input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cost_usd = excluded.cost_usd,
      tokens_saved = excluded.tokens_saved, created_at = excluded.created_at, last_used_at = excluded.last_used_at,
      expires_at = excluded.expires_at;
  END IF;
END $$;
