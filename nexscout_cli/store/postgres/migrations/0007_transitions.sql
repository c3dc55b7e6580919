-- The steps of a call, each one function: one round trip, one transaction. A step does what it is given whole, or raises:
--   NX001  it is no plain case: the books' general code does it, and says what is wrong if something is;
--   NX002  a balance, a cap or the catalog is no longer what was planned with;
--   NX003  another request under the same cache key is open;
--   NX004  what was to be done together cannot be: nothing is made, and the program makes each step alone.
-- They act for an actor and a subject that the service names, so only the service may call them. What is given is one JSON
-- object; what the books derive from it, as the lesson for a profile, the program has worked out.
--
-- What many steps write to is written by `finish`, when all else is done and once for all steps of a group: rows of usage with
-- their sums, what is learned of all users' answers, accounts. So a step returns what is left to do: `usage`, `lesson`,
-- `accounts` (lists of account, held, given back, spent).

-- What a call teaches about all users' answers is kept here while somebody else is writing that down.
CREATE TABLE lessons (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lesson jsonb NOT NULL);

-- Both ends of these are written by one step, and neither is ever removed: `db check` looks for what refers to nothing.
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_attempt_fkey, DROP CONSTRAINT ledger_entries_account_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_request_id_fkey;

-- A time that lies so long after a stamp.
CREATE FUNCTION stamp_after(stamp text, later interval) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = nexscout, pg_temp
AS $$ BEGIN
  RETURN to_char(left(stamp, 26)::timestamp + later, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END $$;

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
CREATE FUNCTION settle(the_attempt bigint, spend jsonb, why text, p jsonb, stamp text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE found jsonb;
BEGIN
  WITH held AS MATERIALIZED (
    SELECT e.account, e.amount, (spend->>a.kind)::bigint AS spent
    FROM ledger_entries e JOIN accounts a ON a.id = e.account
    WHERE e.attempt = the_attempt AND e.kind = 'hold' AND spend ? a.kind AND NOT EXISTS (
      SELECT 1 FROM ledger_entries s
      WHERE s.attempt = e.attempt AND s.account = e.account AND (s.kind = 'hold') = false)),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at)
    SELECT the_attempt, account, CASE WHEN spent IS NULL THEN 'void' ELSE 'post' END, coalesce(spent, amount), why,
      p->>'actor', stamp FROM held)
  SELECT jsonb_agg(jsonb_build_array(account, 0, amount, coalesce(spent, 0))) INTO found FROM held;
  RETURN coalesce(found, '[]');
END $$;

-- Change accounts. Raises `refused` where one does not cover what is to be held. A subject's own are the step's by its lock;
-- others, which many draw on, are locked one by one, in one order, the installation's last.
CREATE FUNCTION change_accounts(items jsonb, refused text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE c record; changed bigint; wanted bigint;
BEGIN
  WITH sums AS MATERIALIZED (
    SELECT (i->>0)::bigint AS id, sum((i->>1)::bigint)::bigint AS more, sum((i->>2)::bigint)::bigint AS less,
      sum((i->>3)::bigint)::bigint AS spent FROM jsonb_array_elements(items) AS x(i) GROUP BY 1),
  own AS (
    UPDATE accounts a SET held = held + more - less, spent = a.spent + s.spent FROM sums s
    WHERE a.id = s.id AND substr(a.owner, 1, 1) <> '*'
      AND (more = 0 OR granted IS NULL OR granted - base - held - a.spent >= more) RETURNING a.id)
  SELECT (SELECT count(*) FROM own), (SELECT count(*) FROM sums) INTO changed, wanted;
  IF changed < wanted THEN
    FOR c IN SELECT a.id, sum((x.i->>1)::bigint)::bigint AS more, sum((x.i->>2)::bigint)::bigint AS less,
        sum((x.i->>3)::bigint)::bigint AS spent
        FROM jsonb_array_elements(items) AS x(i) JOIN accounts a ON a.id = (x.i->>0)::bigint
        WHERE substr(a.owner, 1, 1) = '*' GROUP BY a.id ORDER BY a.owner = '*', a.id LOOP
      UPDATE accounts SET held = held + c.more - c.less, spent = accounts.spent + c.spent WHERE id = c.id
        AND (c.more = 0 OR granted IS NULL OR granted - base - held - accounts.spent >= c.more);
      IF FOUND THEN
        changed := changed + 1;
      END IF;
    END LOOP;
    IF changed < wanted THEN
      RAISE 'it is not covered' USING ERRCODE = refused;
    END IF;
  END IF;
END $$;

-- Close a request, end its claims, and settle its energy: posted with so many units, given back when that is 0.
CREATE FUNCTION end_request(the_request text, the_state text, energy bigint, p jsonb, stamp text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE first bigint;
BEGIN
  UPDATE requests SET state = the_state WHERE request_id = the_request;
  UPDATE attempts SET claim = CASE state WHEN 'unknown' THEN request_id || '/' || n END
    WHERE request_id = the_request AND claim IS NOT NULL;
  SELECT id INTO first FROM attempts WHERE request_id = the_request AND n = 1;
  IF NOT FOUND THEN
    RETURN '[]';
  END IF;
  RETURN settle(first, jsonb_build_object('energy', nullif(energy, 0)), the_state, p, stamp);
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
CREATE FUNCTION profile_of(subject text, known text) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path = nexscout, pg_temp
AS $$ BEGIN
  IF known <> '' AND EXISTS (SELECT 1 FROM user_efficiency_profiles WHERE user_id = subject AND xmin = known::xid) THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT jsonb_build_object('seen', xmin::text, 'values', jsonb_build_array(efficiency_rating, avg_token_per_request,
    predicted_daily_usage, total_requests, total_tokens_saved, cache_hits, cache_hit_rate, writing_style_profile,
    common_patterns, pattern_counts, peak_usage_hours, preferred_output_length, avg_output_tokens, model_preference_score,
    usage_day, usage_day_tokens, prompt_heads))
    FROM user_efficiency_profiles WHERE user_id = subject);
END $$;

CREATE FUNCTION enter_usage(rows jsonb) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$ BEGIN
  INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, input_tokens, output_tokens, cost_usd,
    token_classes, provider_cost_usd, energy, mode, routing_reason, compression_applied, cached_response, cache_match,
    prediction_accuracy, baseline_usd, avoided_usd, compression_saved_usd, tokens_saved, metadata, created_at)
  SELECT request_id, n, user_id, feature, model_used, outcome, coalesce(input_tokens, 0), coalesce(output_tokens, 0),
    coalesce(cost_usd, 0), coalesce(token_classes, '{}'), provider_cost_usd, coalesce(energy, 0), mode, routing_reason,
    coalesce(compression_applied, 0::smallint), coalesce(cached_response, 0::smallint), cache_match, prediction_accuracy,
    coalesce(baseline_usd, 0), coalesce(avoided_usd, 0), coalesce(compression_saved_usd, 0), coalesce(tokens_saved, 0),
    coalesce(metadata, '{}'), created_at
  FROM jsonb_to_recordset(rows) AS u(request_id text, n bigint, user_id text, feature text, model_used text, outcome text,
    input_tokens bigint, output_tokens bigint, cost_usd bigint, token_classes text, provider_cost_usd bigint, energy bigint,
    mode text, routing_reason text, compression_applied smallint, cached_response smallint, cache_match text,
    prediction_accuracy float8, baseline_usd bigint, avoided_usd bigint, compression_saved_usd bigint, tokens_saved bigint,
    metadata jsonb, created_at text);
END $$;

-- The sums of usage, once for all rows of a statement: in one order, and of a model and day in one of 16 slices.
DROP TRIGGER usage_entered ON ai_model_usage;
CREATE OR REPLACE FUNCTION usage_entered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  INSERT INTO usage_by_user_day AS t
  SELECT user_id, left(created_at, 10), count(*) FILTER (WHERE NOT EXISTS (
      SELECT 1 FROM ai_model_usage u WHERE u.request_id = added.request_id AND u.id < added.id)),
    count(*) FILTER (WHERE outcome = 'posted'), count(*) FILTER (WHERE outcome = 'hit'),
    count(*) FILTER (WHERE outcome = 'failed'), sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(energy),
    sum(baseline_usd), sum(avoided_usd), sum(compression_saved_usd), sum(tokens_saved)
  FROM added GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (user_id, day) DO UPDATE SET
    requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
    failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
    energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
    avoided_usd = t.avoided_usd + excluded.avoided_usd,
    compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
    tokens_saved = t.tokens_saved + excluded.tokens_saved;
  INSERT INTO usage_by_model_day AS t
  SELECT left(created_at, 10), model_used, feature, pg_backend_pid() % 16, count(*) FILTER (WHERE NOT EXISTS (
      SELECT 1 FROM ai_model_usage u WHERE u.request_id = added.request_id AND u.id < added.id)),
    count(*) FILTER (WHERE outcome = 'posted'), count(*) FILTER (WHERE outcome = 'hit'),
    count(*) FILTER (WHERE outcome = 'failed'), sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(energy),
    sum(baseline_usd), sum(avoided_usd), sum(compression_saved_usd), sum(tokens_saved)
  FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (day, model, feature, slice) DO UPDATE SET
    requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
    failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
    energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
    avoided_usd = t.avoided_usd + excluded.avoided_usd,
    compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
    tokens_saved = t.tokens_saved + excluded.tokens_saved;
  RETURN NULL;
END $$;
CREATE TRIGGER usage_entered AFTER INSERT ON ai_model_usage REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION usage_entered();

CREATE FUNCTION enter_prediction(p jsonb, d jsonb, rejected text, stamp text) RETURNS void LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$ BEGIN
  INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
    predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
    routing_reason, decision, approved, rejected_reason, created_at)
  VALUES (d->>0, d->>1, d->>2, (d->>3)::bigint, (d->>4)::bigint, (d->>5)::bigint, (d->>6)::bigint, (d->>7)::bigint,
    (d->>8)::bigint, (d->>9)::bigint, d->>10, d->>11, d->12, (rejected IS NULL)::int, rejected, stamp);
END $$;

-- A level of learned lengths after one more answer: the sums fade by `keep` and grow, the edge moves within its bounds.
CREATE FUNCTION level_after(old text, one jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = nexscout, pg_temp
AS $$
DECLARE
  s float8[] := translate(old, '[]', '{}')::float8[];
  v float8[] := translate(one->>'seen', '[]', '{}')::float8[];
  k float8 := (one->>'keep')::float8;
BEGIN
  RETURN '[' || array_to_string(ARRAY[s[1] * k + v[1], s[2] * k + v[2], s[3] * k + v[3], s[4] * k + v[4], s[5] * k + v[5],
    s[6] * k + v[6], s[7] * k + v[7], s[8] * k + v[8], s[9] * k + v[9], s[10] * k + v[10],
    least(greatest(coalesce(s[11], (one->>'edge')::float8) + (one->>'step')::float8, (one->>'low')::float8),
      (one->>'high')::float8)], ', ') || ']';
END $$;

-- Fold answers into what was learned of all users' answers, or let them wait: nobody stands in line to teach. Who has the lock
-- folds what waits as well; each row is written once.
CREATE FUNCTION learn(lessons_now jsonb) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE lesson jsonb; scope jsonb; place text; places text[] := '{}'; levels text[] := '{}'; n int;
BEGIN
  IF jsonb_array_length(lessons_now) IS NULL THEN
    RETURN;
  END IF;
  IF NOT pg_try_advisory_xact_lock(1853358084, (lessons_now->0->>'lock')::int) THEN
    INSERT INTO lessons (lesson) SELECT jsonb_array_elements(lessons_now);
    RETURN;
  END IF;
  IF EXISTS (SELECT 1 FROM lessons) THEN
    WITH gone AS (DELETE FROM lessons l WHERE id = ANY (ARRAY(SELECT id FROM lessons ORDER BY id LIMIT 100)) RETURNING id, l.lesson)
    SELECT coalesce(jsonb_agg(gone.lesson ORDER BY id), '[]') || lessons_now INTO lessons_now FROM gone;
  END IF;
  FOR lesson IN SELECT jsonb_array_elements(lessons_now) LOOP
    FOR scope IN SELECT jsonb_array_elements(lesson->'scopes') LOOP
      place := (lesson->>'feature') || chr(10) || (scope->>0) || chr(10) || (scope->>1); -- none of them has a line's end
      n := array_position(places, place);
      IF n IS NULL THEN
        places := places || place;
        n := array_length(places, 1);
        levels := levels || coalesce((SELECT state FROM output_lengths WHERE feature = lesson->>'feature'
          AND user_id = scope->>0 AND model = scope->>1), lesson->>'empty');
      END IF;
      levels[n] := level_after(levels[n], lesson);
    END LOOP;
  END LOOP;
  INSERT INTO output_lengths SELECT split_part(a, chr(10), 1), split_part(a, chr(10), 2), split_part(a, chr(10), 3), v
    FROM unnest(places, levels) AS x(a, v)
    ON CONFLICT (feature, user_id, model) DO UPDATE SET state = excluded.state;
  IF lessons_now @? '$[*].thinking' THEN
    INSERT INTO thinking AS t SELECT l->>'model', count(*), avg((l->>'thinking')::float8), max((l->>'thinking')::float8)
      FROM jsonb_array_elements(lessons_now) AS x(l) WHERE l ? 'thinking' GROUP BY 1
      ON CONFLICT (model) DO UPDATE SET mean = t.mean + (excluded.mean - t.mean) * excluded.n / (t.n + excluded.n),
        most = greatest(t.most, excluded.most), n = t.n + excluded.n;
  END IF;
  INSERT INTO input_factors AS t SELECT l->>'model', count(*), avg((l->>'ratio')::float8), max((l->>'ratio')::float8)
    FROM jsonb_array_elements(lessons_now) AS x(l) WHERE l ? 'ratio' GROUP BY 1
    ON CONFLICT (model) DO UPDATE SET mean = t.mean + (excluded.mean - t.mean) * excluded.n / (t.n + excluded.n),
      most = greatest(t.most, excluded.most), n = t.n + excluded.n;
END $$;

-- What steps have left to do, once for all of them: see above. Accounts come last: many draw on one, for the shortest time.
CREATE FUNCTION finish(made jsonb[], refused text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE rows jsonb; lessons_now jsonb; items jsonb;
BEGIN
  SELECT jsonb_agg(m->'usage') FILTER (WHERE m ? 'usage'), jsonb_agg(m->'lesson') FILTER (WHERE m ? 'lesson')
    INTO rows, lessons_now FROM unnest(made) AS x(m);
  IF rows IS NOT NULL THEN
    PERFORM enter_usage(rows);
  END IF;
  IF lessons_now IS NOT NULL THEN
    PERFORM learn(lessons_now);
  END IF;
  SELECT jsonb_agg(i) INTO items FROM unnest(made) AS x(m), jsonb_array_elements(m->'accounts') AS y(i);
  IF items IS NOT NULL THEN
    PERFORM change_accounts(items, refused);
  END IF;
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
      stamp_after(stamp, make_interval(days => (c->>'days')::int)))
    ON CONFLICT (user_id, prompt_hash) DO UPDATE SET form_hash = excluded.form_hash, request_id = excluded.request_id,
      model_used = excluded.model_used, quality = excluded.quality, response_text = excluded.response_text,
      input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cost_usd = excluded.cost_usd,
      tokens_saved = excluded.tokens_saved, created_at = excluded.created_at, last_used_at = excluded.last_used_at,
      expires_at = excluded.expires_at;
  END IF;
END $$;
