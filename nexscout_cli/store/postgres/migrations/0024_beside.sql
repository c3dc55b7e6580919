-- Holds and posts of one user are under way beside each other: they take the user's lock together with others, and wait for each
-- other only where they end, at the rows that they share: sums of the day, profile, accounts, in this order, in each by key.
-- What else is done for a user has the user's books alone, as before. What profiles learn while several teach them is written
-- after the steps, by itself.

-- Take the locks of steps, all at once and in order: two groups never wait for each other in a circle.
CREATE FUNCTION take_locks(ps jsonb[]) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0);
  PERFORM CASE WHEN is_plain THEN pg_advisory_xact_lock_shared(1853358083, n) ELSE pg_advisory_xact_lock(1853358083, n) END FROM (
    SELECT (p->>'lock')::int AS n, bool_and(p->>'step' = 'hold' OR p->>'step' = 'post' AND p->'n' = '1') AS is_plain
    FROM unnest(ps) AS x(p) GROUP BY 1 ORDER BY 1) AS sorted;
END $$;

-- Those profiles that are no longer what they are known as; null where all are.
CREATE FUNCTION stale_of(learned jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path = nexscout, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(l->>'user', profile_of(l->>'user', '')) FROM jsonb_array_elements(learned) AS x(l)
    WHERE NOT EXISTS (SELECT 1 FROM user_efficiency_profiles u
      WHERE u.user_id = l->>'user' AND u.xmin = (l->'profile'->>'seen')::xid));
END $$;

-- Write what was learned of users, which the program folded from each one's profile as it was when `seen` was told; returns by
-- what each is known now. Whose profile somebody has changed since is left out, and not written.
CREATE OR REPLACE FUNCTION profiles_learned(learned jsonb) RETURNS jsonb LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE seen jsonb;
BEGIN
  WITH written AS (
    UPDATE user_efficiency_profiles u SET efficiency_rating = (v->>0)::float8, avg_token_per_request = (v->>1)::float8,
      predicted_daily_usage = (v->>2)::bigint, total_requests = (v->>3)::bigint, total_tokens_saved = (v->>4)::bigint,
      cache_hits = (v->>5)::bigint, cache_hit_rate = (v->>6)::float8, writing_style_profile = v->>7, common_patterns = v->>8,
      pattern_counts = v->>9, peak_usage_hours = v->>10, preferred_output_length = v->>11, avg_output_tokens = (v->>12)::float8,
      model_preference_score = v->>13, usage_day = v->>14, usage_day_tokens = (v->>15)::bigint, prompt_heads = v->>16
    FROM (SELECT l->>'user' AS who, l->'profile'->>'seen' AS seen, l->'profile'->'values' AS v
      FROM jsonb_array_elements(learned) AS x(l) ORDER BY 1) s
    WHERE u.user_id = s.who AND u.xmin = s.seen::xid RETURNING u.user_id, u.xmin)
  SELECT coalesce(jsonb_object_agg(user_id, xmin::text), '{}') INTO seen FROM written;
  RETURN seen;
END $$;

-- The same of one user, after the steps that taught it. A crash of the server in the next moment may lose it: nobody waits for
-- the disk.
CREATE FUNCTION profile_caught_up(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off SET jit = off AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0), pg_advisory_xact_lock_shared(1853358083, (p->>'lock')::int),
    set_config('synchronous_commit', 'off', true);
  RETURN profiles_learned(jsonb_build_array(p));
END $$;

-- Lock a profile until the transaction ends; returns it where it is no longer what it is known as.
CREATE FUNCTION profile_taken(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off SET jit = off AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0), pg_advisory_xact_lock_shared(1853358083, (p->>'lock')::int);
  PERFORM 1 FROM user_efficiency_profiles WHERE user_id = p->>'user' FOR NO KEY UPDATE;
  RETURN stale_of(jsonb_build_array(p));
END $$;

-- The sums of usage: those of a user's day last, after all other triggers, for they are the first rows that posts of one user wait
-- for each other at.
CREATE OR REPLACE FUNCTION usage_entered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
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
  RETURN NULL;
END $$;
ALTER TRIGGER usage_entered ON ai_model_usage RENAME TO usage_summed;

-- Accounts: as before; the subject's own, which others may change at the same time now, by their numbers.
CREATE OR REPLACE FUNCTION change_accounts(items jsonb, refused text) RETURNS void LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE c record; changed bigint; wanted bigint;
BEGIN
  WITH sums AS MATERIALIZED (
    SELECT (i->>0)::bigint AS id, sum((i->>1)::bigint)::bigint AS more, sum((i->>2)::bigint)::bigint AS less,
      sum((i->>3)::bigint)::bigint AS spent FROM jsonb_array_elements(items) AS x(i) GROUP BY 1 ORDER BY 1),
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

-- What steps have left to do, once for all of them; see 0007. `learned`: what their users' profiles come to. Returns by what those
-- are known now. Raises NX005 where somebody has changed one meanwhile.
DROP FUNCTION finish(jsonb[], text);
CREATE FUNCTION finish(made jsonb[], refused text, learned jsonb) RETURNS jsonb LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE rows jsonb; lessons_now jsonb; items jsonb; seen jsonb := '{}';
BEGIN
  SELECT jsonb_agg(m->'usage') FILTER (WHERE m ? 'usage'), jsonb_agg(m->'lesson') FILTER (WHERE m ? 'lesson')
    INTO rows, lessons_now FROM unnest(made) AS x(m);
  IF lessons_now IS NOT NULL THEN
    PERFORM learn(lessons_now);
  END IF;
  IF rows IS NOT NULL THEN
    PERFORM enter_usage(rows);
  END IF;
  IF learned <> '[]' THEN
    seen := profiles_learned(learned);
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(learned) AS x(l) WHERE NOT seen ? (l->>'user')) THEN
      RAISE 'somebody was faster' USING ERRCODE = 'NX005';
    END IF;
  END IF;
  SELECT jsonb_agg(i) INTO items FROM unnest(made) AS x(m), jsonb_array_elements(m->'accounts') AS y(i);
  IF items IS NOT NULL THEN
    PERFORM change_accounts(items, refused);
  END IF;
  RETURN seen;
END $$;

-- One step. `stale`: nothing was made, for the subject's profile has changed since it was seen.
CREATE OR REPLACE FUNCTION step(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
DECLARE made jsonb; stale jsonb; learned jsonb := '[]'; seen jsonb;
BEGIN
  PERFORM take_locks(ARRAY[p]);
  IF p ? 'profile' THEN
    learned := jsonb_build_array(p);
    stale := stale_of(learned);
    IF stale IS NOT NULL THEN
      RETURN jsonb_build_object('stale', stale);
    END IF;
  END IF;
  made := (make_steps(ARRAY[p]))[1];
  IF made ? 'error' THEN
    RAISE 'no plain case' USING ERRCODE = made->>'error';
  END IF;
  seen := finish(ARRAY[made], CASE p->>'step' WHEN 'hold' THEN 'NX002' ELSE 'NX001' END, learned);
  RETURN made - '{accounts,usage,lesson}'::text[] || jsonb_build_object('seen', seen->(p->>'user'));
END $$;

-- Many steps at once, each whole or not at all: one commit, one round trip. What their subjects' profiles learn of them is
-- written once. `stale`: nothing was made, for these profiles have changed since they were seen.
CREATE OR REPLACE FUNCTION steps(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
DECLARE ps jsonb[] := ARRAY(SELECT jsonb_array_elements(p->'steps')); told jsonb[]; stale jsonb; seen jsonb;
BEGIN
  PERFORM take_locks(ps);
  IF p->'learned' <> '[]' THEN
    stale := stale_of(p->'learned');
    IF stale IS NOT NULL THEN
      RETURN jsonb_build_object('stale', stale);
    END IF;
  END IF;
  told := make_steps(ps);
  IF EXISTS (SELECT 1 FROM jsonb_array_elements(p->'learned') AS x(l), jsonb_array_elements(l->'after') AS y(i)
      WHERE told[i::int] ? 'error') THEN
    RAISE 'not learned' USING ERRCODE = 'NX004';
  END IF;
  seen := finish(told, 'NX004', p->'learned');
  RETURN jsonb_build_object('told', (SELECT jsonb_agg(m - '{accounts,usage,lesson}'::text[] ORDER BY n)
    FROM unnest(told) WITH ORDINALITY AS x(m, n)), 'seen', seen);
END $$;
DROP FUNCTION take_subjects(jsonb);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
GRANT EXECUTE ON FUNCTION profile_taken(jsonb), profile_caught_up(jsonb) TO nexscout_service;
