-- Holds and posts that come together are made in sets: each table is written by one statement for all of them. What is set up
-- for a statement (its plan, its triggers, its checks) took most of the time of a step. A step alone is a set of one.

-- The time of steps: the latest that a caller's clock says, else the server's, never before what was seen last.
CREATE FUNCTION time_of_steps(given text) RETURNS text LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  seen text := (SELECT value FROM meta WHERE key = 'last_seen');
  stamp text := coalesce(given, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
BEGIN
  IF stamp < seen THEN
    RETURN seen;
  END IF;
  IF left(stamp, 19) > left(seen, 19) THEN
    UPDATE meta SET value = stamp WHERE key = (
      SELECT key FROM meta WHERE key = 'last_seen' AND value < stamp FOR UPDATE SKIP LOCKED);
  END IF;
  RETURN stamp;
END $$;
CREATE OR REPLACE FUNCTION begin_step(p jsonb) RETURNS text LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0), pg_advisory_xact_lock(1853358083, (p->>'lock')::int);
  RETURN time_of_steps(p->>'now');
END $$;

-- What speaks against each of these holds, null for nothing, and the accounts it draws on, as `change_accounts` takes them;
-- `opens`: the first call of somebody's day is among them, whose accounts are to be opened.
CREATE FUNCTION check_holds(ps jsonb[], stamp text, OUT errors text[], OUT items jsonb[], OUT profiles jsonb[], OUT opens boolean)
LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  day text := left(stamp, 10);
  month text := left(stamp, 7);
  week text := to_char(day::date, 'IYYY-"W"IW');
  version text := (SELECT value FROM meta WHERE key = 'world_version');
BEGIN
  SELECT array_agg(c.error ORDER BY c.n), array_agg(c.items ORDER BY c.n), array_agg(c.profile ORDER BY c.n),
    bool_or(c.error IS NULL AND c.opens) INTO errors, items, profiles, opens
  FROM (
    SELECT n, b.items, b.opens, CASE WHEN NOT EXISTS (SELECT 1 FROM user_efficiency_profiles
        WHERE user_id = p->>'user' AND xmin = nullif(p->>'known', '')::xid) THEN profile_of(p->>'user', '') END AS profile,
      CASE
        WHEN u.user_id IS NULL OR u.reads_only <> 0 OR u.granted_period < month
          OR u.daily_token_budget IS DISTINCT FROM (p->'daily'->>u.tier)::bigint
          OR (p->>'actor' <> u.user_id AND NOT EXISTS (SELECT 1 FROM users WHERE user_id = p->>'actor' AND role = 'admin'))
          THEN 'NX001'
        WHEN version <> p->>'version' THEN 'NX002'
        WHEN p ? 'key' AND EXISTS (SELECT 1 FROM requests WHERE user_id = p->>'user' AND key = p->>'key')
          OR EXISTS (SELECT 1 FROM requests WHERE request_id = p->>'request') THEN 'NX001'
        WHEN p ? 'claim' AND EXISTS (SELECT 1 FROM attempts WHERE claim = p->>'claim') THEN 'NX003'
        WHEN b.is_odd THEN 'NX001' -- an account is to be opened, or its cap is another one
      END AS error
    FROM unnest(ps) WITH ORDINALITY AS x(p, n)
    LEFT JOIN LATERAL (SELECT * FROM users WHERE user_id = p->>'user') u ON true
    CROSS JOIN LATERAL (
      SELECT coalesce(jsonb_agg(jsonb_build_array(a.id, w.amount, 0, 0)) FILTER (WHERE w.entered), '[]') AS items,
        coalesce(bool_or(a.id IS NULL AND w.opens), false) AS opens,
        coalesce(bool_or(CASE WHEN a.id IS NULL THEN w.entered AND NOT w.opens
          ELSE a.granted IS DISTINCT FROM w.cap AND w.unit <> 'energy' END), false) AS is_odd
      FROM (
        SELECT owner, unit, cap, amount, entered, entered AND owner = p->>'user' AND "window" = 'day' AS opens,
          CASE "window" WHEN 'day' THEN day WHEN 'month' THEN month WHEN 'week' THEN week ELSE "window" END AS period
        FROM jsonb_to_recordset(p->'budgets') AS y(owner text, unit text, "window" text, cap bigint, amount bigint,
          entered boolean)) w
      LEFT JOIN accounts a ON a.owner = w.owner AND a.kind = w.unit AND a.period = w.period) b) c;
END $$;

-- T1, with T2 where the call follows at once (`state` sent), of requests' first attempts: accounts checked, requests, attempts,
-- entries and predictions entered. What each is told; `error` where it is no plain case.
CREATE FUNCTION make_holds(ps jsonb[], stamp text) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE c record := check_holds(ps, stamp); told jsonb[];
BEGIN
  IF c.opens THEN
    WITH opened AS (
      INSERT INTO accounts (owner, kind, period, granted)
      SELECT DISTINCT ON (w->>'owner', w->>'unit') w->>'owner', w->>'unit', left(stamp, 10), (w->>'cap')::bigint
      FROM unnest(ps) WITH ORDINALITY AS x(p, n), jsonb_array_elements(p->'budgets') AS y(w)
      WHERE c.errors[n] IS NULL AND (w->>'entered')::boolean AND w->>'owner' = p->>'user' AND w->>'window' = 'day'
      ON CONFLICT (owner, kind, period) DO NOTHING RETURNING id, owner, granted)
    INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at)
    SELECT id, 'grant', granted, 'cap', (SELECT p->>'actor' FROM unnest(ps) AS x(p) WHERE p->>'user' = owner LIMIT 1), stamp
    FROM opened WHERE granted IS NOT NULL;
    c := check_holds(ps, stamp);
  END IF;
  WITH s AS MATERIALIZED (
    SELECT n, p, p->>'request' AS request, p->'prediction' AS d FROM unnest(ps) WITH ORDINALITY AS x(p, n)
    WHERE c.errors[n] IS NULL),
  asked AS (
    INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at)
    SELECT request, p->>'user', d->>2, p->>'key', p->>'fingerprint', 'open', stamp FROM s),
  begun AS (
    INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim,
      created_at)
    SELECT request, 1, p->>'model', p->>'price', (p->>'estimate')::bigint, (p->>'hold')::bigint,
      (p->>'hold_tokens')::bigint, p->>'state', p->>'owner',
      stamp_after(stamp, make_interval(secs => (p->>'seconds')::float8)), p->'plan', coalesce(p->>'claim', request || '/1'), stamp
    FROM s RETURNING id, request_id),
  made AS MATERIALIZED (SELECT n, id, p->>'actor' AS actor FROM s JOIN begun ON request_id = request),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at)
    SELECT id, (i->>0)::bigint, 'hold', (i->>1)::bigint, actor, stamp FROM made, jsonb_array_elements(c.items[n]) AS y(i)),
  predicted AS (
    INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
      predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
      routing_reason, decision, approved, created_at)
    SELECT d->>0, d->>1, d->>2, (d->>3)::bigint, (d->>4)::bigint, (d->>5)::bigint, (d->>6)::bigint, (d->>7)::bigint,
      (d->>8)::bigint, (d->>9)::bigint, d->>10, d->>11, d->12, 1, stamp FROM s)
  SELECT array_agg(CASE WHEN id IS NULL THEN jsonb_build_object('error', c.errors[n])
    ELSE jsonb_build_object('id', id, 'profile', c.profiles[n], 'accounts', c.items[n]) END ORDER BY n) INTO told
  FROM generate_subscripts(ps, 1) AS x(n) LEFT JOIN made USING (n);
  RETURN told;
END $$;

-- T3 of requests' first attempts: each moves to posted, its holds end, its prediction is settled; where its answer is delivered
-- (`delivered`, units of energy) its request and its claim end too.
CREATE FUNCTION make_posts(ps jsonb[], stamp text) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE told jsonb[]; watched boolean := EXISTS (SELECT 1 FROM alerts);
BEGIN
  WITH s AS MATERIALIZED (
    SELECT n, p, (p->>'id')::bigint AS id, p->>'request' AS request, p->'spend' AS spend, p->>'flags' AS flags,
      p->>'actor' AS actor, p ? 'delivered' AS ends, (p->>'tokens')::bigint AS tokens, (p->>'quoted')::bigint AS quoted
    FROM unnest(ps) WITH ORDINALITY AS x(p, n)
    -- Single values, for each of which an index is asked; what is joined might be read whole.
    WHERE (SELECT true FROM users WHERE user_id = p->>'user')
      AND (p->>'actor' = p->>'user' OR (SELECT role = 'admin' FROM users WHERE user_id = p->>'actor'))
      AND (SELECT user_id = p->>'user' FROM requests WHERE request_id = p->>'request')
      AND (SELECT t.request_id = p->>'request' AND t.n = 1 AND t.state IN ('sent', 'unknown') FROM attempts t
        WHERE t.id = (p->>'id')::bigint)),
  moved AS (
    UPDATE attempts t SET state = 'posted', actual = (p->>'actual')::bigint, reason = coalesce(p->>'reason', reason),
      provider_id = coalesce(p->>'provider_id', provider_id), settled_at = stamp, claim = CASE WHEN NOT ends THEN claim END
    FROM s WHERE t.id = s.id),
  held AS MATERIALIZED (
    SELECT s.n, s.id, s.flags, s.actor, e.account, e.amount, (s.spend->>a.kind)::bigint AS spent
    FROM s JOIN ledger_entries e ON e.attempt = s.id AND e.kind = 'hold' JOIN accounts a ON a.id = e.account
    WHERE s.spend ? a.kind AND (
      SELECT count(*) FROM ledger_entries o WHERE o.attempt = s.id AND o.account = e.account AND o.kind <> 'hold') = 0),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at)
    SELECT id, account, CASE WHEN spent IS NULL THEN 'void' ELSE 'post' END, coalesce(spent, amount), flags, actor, stamp
    FROM held),
  settled AS (
    UPDATE ai_cost_predictions q SET actual_cost_usd = coalesce(actual_cost_usd, 0) + (p->>'actual')::bigint,
      actual_tokens = tokens, prediction_accuracy = CASE WHEN quoted > 0
        THEN greatest(0, 1 - abs(tokens - quoted) / quoted::float8) ELSE (tokens = 0 AND quoted = 0)::int END
    FROM s WHERE q.request_id = s.request),
  ended AS (
    UPDATE requests r SET state = 'posted', answer = coalesce(p->>'answer', answer) FROM s WHERE r.request_id = s.request AND ends)
  SELECT array_agg(CASE WHEN s.n IS NULL THEN '{"error": "NX001"}' ELSE left_to_do(p, stamp, coalesce(h.items, '[]'))
    || jsonb_build_object('alerts', watched) END ORDER BY x.n) INTO told
  FROM generate_subscripts(ps, 1) AS x(n) LEFT JOIN s USING (n) LEFT JOIN (
    SELECT n, jsonb_agg(jsonb_build_array(account, 0, amount, coalesce(spent, 0))) AS items FROM held GROUP BY n) h USING (n);
  PERFORM keep_answer(p, stamp) FROM unnest(ps) WITH ORDINALITY AS x(p, n) WHERE p ? 'cached' AND NOT told[n] ? 'error';
  RETURN told;
END $$;

-- What each step is told, and what is left to do for `finish`; `error` where it is no plain case.
CREATE FUNCTION make_steps(ps jsonb[]) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text := time_of_steps((SELECT max(p->>'now') FROM unnest(ps) AS x(p)));
  kind text;
  places int[];
  made jsonb[];
  told jsonb[] := array_fill(NULL::jsonb, ARRAY[array_length(ps, 1)]);
BEGIN
  FOR kind, places IN
    SELECT CASE WHEN p->>'step' = 'hold' THEN 'hold' WHEN p->>'step' = 'post' AND p->'n' = '1' THEN 'post' ELSE '' END,
      array_agg(n::int ORDER BY n)
    FROM unnest(ps) WITH ORDINALITY AS x(p, n) GROUP BY 1
  LOOP
    made := ARRAY(SELECT ps[i] FROM unnest(places) AS x(i));
    CASE kind
      WHEN 'hold' THEN made := make_holds(made, stamp);
      WHEN 'post' THEN made := make_posts(made, stamp);
      ELSE
        FOR i IN 1 .. array_length(made, 1) LOOP
          BEGIN
            made[i] := made_by(made[i]);
          EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE LIKE '40%' OR SQLSTATE LIKE '5%' THEN -- then nothing of the group is made
              RAISE;
            END IF;
            made[i] := jsonb_build_object('error', CASE WHEN SQLSTATE LIKE 'NX%' THEN SQLSTATE ELSE 'NX001' END);
          END;
        END LOOP;
    END CASE;
    FOR i IN 1 .. array_length(places, 1) LOOP
      told[places[i]] := made[i];
    END LOOP;
  END LOOP;
  RETURN told;
END $$;

-- Write what was learned of users, which the program folded from each one's profile as it was when `seen` was told; returns by
-- what each is known now. Whose profile somebody has changed since is left out, and not written.
CREATE FUNCTION profiles_learned(learned jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE seen jsonb;
BEGIN
  WITH written AS (
    UPDATE user_efficiency_profiles u SET efficiency_rating = (v->>0)::float8, avg_token_per_request = (v->>1)::float8,
      predicted_daily_usage = (v->>2)::bigint, total_requests = (v->>3)::bigint, total_tokens_saved = (v->>4)::bigint,
      cache_hits = (v->>5)::bigint, cache_hit_rate = (v->>6)::float8, writing_style_profile = v->>7, common_patterns = v->>8,
      pattern_counts = v->>9, peak_usage_hours = v->>10, preferred_output_length = v->>11, avg_output_tokens = (v->>12)::float8,
      model_preference_score = v->>13, usage_day = v->>14, usage_day_tokens = (v->>15)::bigint, prompt_heads = v->>16
    FROM (SELECT l->>'user' AS who, l->'profile'->>'seen' AS seen, l->'profile'->'values' AS v
      FROM jsonb_array_elements(learned) AS x(l)) s
    WHERE u.user_id = s.who AND u.xmin = s.seen::xid RETURNING u.user_id, u.xmin)
  SELECT coalesce(jsonb_object_agg(user_id, xmin::text), '{}') INTO seen FROM written;
  RETURN seen;
END $$;

-- One step. `stale`: nothing was made, for the subject's profile has changed since it was seen.
CREATE OR REPLACE FUNCTION step(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
DECLARE made jsonb; seen text;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0), pg_advisory_xact_lock(1853358083, (p->>'lock')::int);
  IF p ? 'profile' THEN
    seen := profiles_learned(jsonb_build_array(p))->>(p->>'user');
    IF seen IS NULL THEN
      RETURN jsonb_build_object('stale', profile_of(p->>'user', ''));
    END IF;
  END IF;
  made := (make_steps(ARRAY[p]))[1];
  IF made ? 'error' THEN
    RAISE 'no plain case' USING ERRCODE = made->>'error';
  END IF;
  IF made <> '{}' THEN
    PERFORM finish(ARRAY[made], CASE p->>'step' WHEN 'hold' THEN 'NX002' ELSE 'NX001' END);
  END IF;
  RETURN made - '{accounts,usage,lesson}'::text[] || jsonb_build_object('seen', seen);
END $$;

-- Take the locks on the subjects of steps, all at once and in order: two groups never wait for each other in a circle. Returns
-- those profiles that are no longer what they are known as; null where all are. Called before `step` or `steps`, in the same
-- transaction, it keeps those from being stale: who learns of a user while other programs do is best served so.
CREATE FUNCTION take_subjects(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE stale jsonb;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1853358082, 0);
  PERFORM pg_advisory_xact_lock(1853358083, n) FROM (
    SELECT DISTINCT (s->>'lock')::int AS n FROM jsonb_array_elements(p->'steps') AS x(s) ORDER BY 1) AS sorted;
  IF p->'learned' <> '[]' THEN
    SELECT jsonb_object_agg(l->>'user', profile_of(l->>'user', '')) INTO stale FROM jsonb_array_elements(p->'learned') AS x(l)
      WHERE NOT EXISTS (SELECT 1 FROM user_efficiency_profiles u
        WHERE u.user_id = l->>'user' AND u.xmin = (l->'profile'->>'seen')::xid);
  END IF;
  RETURN stale;
END $$;

-- Many steps at once, each whole or not at all: one commit, one round trip. What their subjects' profiles learn of them is
-- written once. `stale`: nothing was made, for these profiles have changed since they were seen.
CREATE OR REPLACE FUNCTION steps(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
DECLARE told jsonb[]; stale jsonb; seen jsonb := '{}';
BEGIN
  stale := take_subjects(p);
  IF stale IS NOT NULL THEN
    RETURN jsonb_build_object('stale', stale);
  END IF;
  told := make_steps(ARRAY(SELECT jsonb_array_elements(p->'steps')));
  IF p->'learned' <> '[]' THEN
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p->'learned') AS x(l), jsonb_array_elements(l->'after') AS y(i)
        WHERE told[i::int] ? 'error') THEN
      RAISE 'not learned' USING ERRCODE = 'NX004';
    END IF;
    seen := profiles_learned(p->'learned');
  END IF;
  PERFORM finish(told, 'NX004');
  RETURN jsonb_build_object('told', (SELECT jsonb_agg(m - '{accounts,usage,lesson}'::text[] ORDER BY n)
    FROM unnest(told) WITH ORDINALITY AS x(m, n)), 'seen', seen);
END $$;
DROP FUNCTION hold(jsonb), profile_learned(jsonb);

-- Fold answers into what was learned of all users' answers, or let them wait: nobody stands in line to teach. Who has the lock
-- folds what waits as well; each row is written once. A level's sums fade by `keep` with each answer and grow, its edge moves
-- within its bounds.
CREATE OR REPLACE FUNCTION learn(lessons_now jsonb) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE c record; old float8[]; faded float8; edge_now float8; move_now float8; places text[] := '{}'; levels text[] := '{}';
BEGIN
  IF NOT pg_try_advisory_xact_lock(1853358084, (lessons_now->0->>'lock')::int) THEN
    INSERT INTO lessons (lesson) SELECT jsonb_array_elements(lessons_now);
    RETURN;
  END IF;
  IF EXISTS (SELECT 1 FROM lessons) THEN
    WITH gone AS (DELETE FROM lessons l WHERE id = ANY (ARRAY(SELECT id FROM lessons ORDER BY id LIMIT 100)) RETURNING id, l.lesson)
    SELECT coalesce(jsonb_agg(gone.lesson ORDER BY id), '[]') || lessons_now INTO lessons_now FROM gone;
  END IF;
  FOR c IN
    SELECT feature, who, model, count(*)::int AS times, min(keep) AS keep, min(low) AS low, min(high) AS high,
      min(edge) AS edge, array_agg(move ORDER BY n) AS moves, (SELECT state FROM output_lengths o
        WHERE o.feature = f.feature AND o.user_id = f.who AND o.model = f.model) AS state,
      ARRAY[sum(w * (v->>0)::float8), sum(w * (v->>1)::float8), sum(w * (v->>2)::float8), sum(w * (v->>3)::float8),
        sum(w * (v->>4)::float8), sum(w * (v->>5)::float8), sum(w * (v->>6)::float8), sum(w * (v->>7)::float8),
        sum(w * (v->>8)::float8), sum(w * (v->>9)::float8)] AS more
    FROM (
      SELECT l->>'feature' AS feature, s->>0 AS who, s->>1 AS model, n, l->'seen' AS v, (l->>'keep')::float8 AS keep,
        (l->>'low')::float8 AS low, (l->>'high')::float8 AS high, (l->>'edge')::float8 AS edge, (l->>'step')::float8 AS move,
        (l->>'keep')::float8 ^ (row_number() OVER (PARTITION BY l->>'feature', s ORDER BY n DESC) - 1) AS w
      FROM jsonb_array_elements(lessons_now) WITH ORDINALITY AS x(l, n), jsonb_array_elements(l->'scopes') AS y(s)) f
    GROUP BY feature, who, model ORDER BY feature, who, model
  LOOP
    old := translate(coalesce(c.state, '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]'), '[]', '{}')::float8[];
    faded := c.keep ^ c.times;
    edge_now := coalesce(old[11], c.edge);
    FOREACH move_now IN ARRAY c.moves LOOP
      edge_now := least(greatest(edge_now + move_now, c.low), c.high);
    END LOOP;
    -- No part of a place has a line's end.
    places := places || (c.feature || chr(10) || c.who || chr(10) || c.model);
    levels := levels || ('[' || array_to_string(ARRAY[old[1] * faded + c.more[1], old[2] * faded + c.more[2],
      old[3] * faded + c.more[3], old[4] * faded + c.more[4], old[5] * faded + c.more[5], old[6] * faded + c.more[6],
      old[7] * faded + c.more[7], old[8] * faded + c.more[8], old[9] * faded + c.more[9], old[10] * faded + c.more[10],
      edge_now], ', ') || ']');
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
DROP FUNCTION level_after(text, jsonb);

-- A step that an attempt may take is no call of a function.
DROP TRIGGER attempts_move_forward ON attempts;
CREATE OR REPLACE FUNCTION attempts_move_forward() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN
  RAISE EXCEPTION 'an attempt cannot change that way' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER attempts_move_forward BEFORE UPDATE OF state ON attempts FOR EACH ROW
WHEN ((new.state = old.state AND old.state <> 'posted' OR old.state = 'held' AND new.state IN ('sent', 'submitted', 'voided')
  OR old.state IN ('sent', 'submitted') AND new.state IN ('posted', 'unknown', 'voided')
  OR old.state = 'unknown' AND new.state IN ('posted', 'voided')) IS NOT TRUE) EXECUTE FUNCTION attempts_move_forward();

-- Which finished hours have changed is looked at once for all rows of a statement.
CREATE FUNCTION rows_change_hours() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  PERFORM hour_changes(hour) FROM (SELECT DISTINCT substr(created_at, 1, 13) AS hour FROM changed) s
    WHERE hour < (SELECT max(m.hour) FROM fold_marks m WHERE is_end = 1);
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION rows_change_hours() FROM PUBLIC;
DROP TRIGGER usage_entered_changes_an_hour ON ai_model_usage;
DROP TRIGGER prediction_updated_changes_an_hour ON ai_cost_predictions;
CREATE TRIGGER usage_entered_changes_an_hour AFTER INSERT ON ai_model_usage REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION rows_change_hours();
CREATE TRIGGER prediction_updated_changes_an_hour AFTER UPDATE ON ai_cost_predictions REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION rows_change_hours();

CREATE OR REPLACE FUNCTION made_by(p jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$ BEGIN
  CASE p->>'step'
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
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_subjects(jsonb) TO nexscout_service;
