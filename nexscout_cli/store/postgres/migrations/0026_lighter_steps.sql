-- The same steps with less of the server's time. What is set up for a statement costs more than the rows it writes: so a set of
-- holds is looked at and entered in one statement; a function that returns nothing is called by an assignment, which sets up none;
-- lessons are folded without aggregates; and no plan reads all accounts to find those of an attempt.

-- T1, with T2 where the call follows at once (`state` sent), of requests' first attempts: accounts checked, requests, attempts,
-- entries and predictions entered. What each is told, with the accounts it draws on as `change_accounts` takes them; `error` where
-- it is no plain case. Where somebody's day is to be opened first, nothing is entered before that.
CREATE OR REPLACE FUNCTION make_holds(ps jsonb[], stamp text) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE told jsonb[]; opening boolean; day text := left(stamp, 10); week text := to_char(day::date, 'IYYY-"W"IW');
BEGIN
  FOR turn IN 1 .. 2 LOOP
    WITH s AS MATERIALIZED (
      SELECT n, r.*, b.items, b.opens, CASE WHEN NOT EXISTS (SELECT 1 FROM user_efficiency_profiles
          WHERE user_id = r."user" AND xmin = nullif(r.known, '')::xid) THEN profile_of(r."user", '') END AS profile,
        CASE
          WHEN u.user_id IS NULL OR u.reads_only <> 0 OR u.granted_period < left(stamp, 7)
            OR u.daily_token_budget IS DISTINCT FROM (r.daily->>u.tier)::bigint
            OR (r.actor <> u.user_id AND NOT EXISTS (SELECT 1 FROM users WHERE user_id = r.actor AND role = 'admin'))
            THEN 'NX001'
          WHEN (SELECT value FROM meta WHERE key = 'world_version') <> r.version THEN 'NX002'
          WHEN r.key IS NOT NULL AND EXISTS (SELECT 1 FROM requests WHERE user_id = r."user" AND key = r.key)
            OR EXISTS (SELECT 1 FROM requests WHERE request_id = r.request) THEN 'NX001'
          WHEN r.claim IS NOT NULL AND EXISTS (SELECT 1 FROM attempts WHERE claim = r.claim) THEN 'NX003'
          WHEN b.is_odd THEN 'NX001' -- an account is to be opened, or its cap is another one
        END AS error
      FROM unnest(ps) WITH ORDINALITY AS x(p, n)
      CROSS JOIN LATERAL jsonb_to_record(p) AS r("user" text, actor text, request text, known text, daily jsonb, version text,
        key text, claim text, budgets jsonb, fingerprint text, model text, price text, estimate bigint, hold bigint,
        hold_tokens bigint, state text, owner text, seconds float8, plan jsonb, prediction jsonb)
      LEFT JOIN LATERAL (SELECT * FROM users WHERE user_id = r."user") u ON true
      CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_array(a.id, w.amount, 0, 0)) FILTER (WHERE w.entered), '[]') AS items,
          coalesce(bool_or(a.id IS NULL AND w.opens), false) AS opens,
          coalesce(bool_or(CASE WHEN a.id IS NULL THEN w.entered AND NOT w.opens
            ELSE a.granted IS DISTINCT FROM w.cap AND w.unit <> 'energy' END), false) AS is_odd
        FROM (
          SELECT owner, unit, cap, amount, entered, entered AND owner = r."user" AND "window" = 'day' AS opens,
            CASE "window" WHEN 'day' THEN day WHEN 'month' THEN left(stamp, 7) WHEN 'week' THEN week ELSE "window" END AS period
          FROM jsonb_to_recordset(r.budgets) AS y(owner text, unit text, "window" text, cap bigint, amount bigint,
            entered boolean)) w
        LEFT JOIN accounts a ON a.owner = w.owner AND a.kind = w.unit AND a.period = w.period) b),
    fresh AS MATERIALIZED (
      SELECT *, nextval('attempts_id_seq') AS id FROM s
      WHERE error IS NULL AND NOT EXISTS (SELECT 1 FROM s AS o WHERE o.error IS NULL AND o.opens)),
    asked AS (
      INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at)
      SELECT request, "user", prediction->>2, key, fingerprint, 'open', stamp FROM fresh),
    begun AS (
      INSERT INTO attempts (id, request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim,
        created_at)
      SELECT id, request, 1, model, price, estimate, hold, hold_tokens, state, owner,
        to_char(left(stamp, 26)::timestamp + make_interval(secs => seconds), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), plan,
        coalesce(claim, request || '/1'), stamp
      FROM fresh),
    entered AS (
      INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at)
      SELECT id, (i->>0)::bigint, 'hold', (i->>1)::bigint, actor, stamp FROM fresh, jsonb_array_elements(items) AS y(i)),
    predicted AS (
      INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
        predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
        routing_reason, decision, approved, created_at)
      SELECT d->>0, d->>1, d->>2, (d->>3)::bigint, (d->>4)::bigint, (d->>5)::bigint, (d->>6)::bigint, (d->>7)::bigint,
        (d->>8)::bigint, (d->>9)::bigint, d->>10, d->>11, d->12, 1, stamp FROM (SELECT prediction AS d FROM fresh) q)
    SELECT array_agg(CASE WHEN id IS NULL THEN jsonb_build_object('error', coalesce(s.error, CASE turn WHEN 1 THEN 'opens' ELSE 'NX001' END))
      ELSE jsonb_build_object('id', id, 'profile', s.profile, 'accounts', s.items) END ORDER BY n),
      bool_or(s.error IS NULL AND s.opens) INTO told, opening
    FROM s LEFT JOIN (SELECT n, id FROM fresh) m USING (n);
    EXIT WHEN turn = 2 OR NOT opening;
    WITH opened AS (
      INSERT INTO accounts (owner, kind, period, granted)
      SELECT DISTINCT ON (w->>'owner', w->>'unit') w->>'owner', w->>'unit', day, (w->>'cap')::bigint
      FROM unnest(ps) WITH ORDINALITY AS x(p, n), jsonb_array_elements(p->'budgets') AS y(w)
      WHERE told[n]->>'error' = 'opens' AND (w->>'entered')::boolean AND w->>'owner' = p->>'user' AND w->>'window' = 'day'
      ON CONFLICT (owner, kind, period) DO NOTHING RETURNING id, owner, granted)
    INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at)
    SELECT id, 'grant', granted, 'cap', (SELECT p->>'actor' FROM unnest(ps) AS x(p) WHERE p->>'user' = owner LIMIT 1), stamp
    FROM opened WHERE granted IS NOT NULL;
  END LOOP;
  RETURN told;
END $$;
DROP FUNCTION check_holds(jsonb[], text);

-- T3 of requests' first attempts: each moves to posted, its holds end, its prediction is settled; where its answer is delivered
-- (`delivered`, units of energy) its request and its claim end too.
CREATE OR REPLACE FUNCTION make_posts(ps jsonb[], stamp text) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE told jsonb[]; kept text;
BEGIN
  WITH s AS MATERIALIZED (
    SELECT n, p, r.* FROM unnest(ps) WITH ORDINALITY AS x(p, n)
    CROSS JOIN LATERAL jsonb_to_record(p) AS r("user" text, actor text, request text, id bigint, spend jsonb, flags text,
      actual bigint, tokens bigint, quoted bigint, why text, provider_id text, delivered bigint, answer text)
    -- Single values, for each of which an index is asked; what is joined might be read whole.
    WHERE (SELECT true FROM users WHERE user_id = r."user")
      AND (r.actor = r."user" OR (SELECT role = 'admin' FROM users WHERE user_id = r.actor))
      AND (SELECT user_id = r."user" FROM requests WHERE request_id = r.request)
      AND (SELECT t.request_id = r.request AND t.n = 1 AND t.state IN ('sent', 'unknown') FROM attempts t WHERE t.id = r.id)),
  moved AS (
    UPDATE attempts t SET state = 'posted', actual = s.actual, reason = coalesce(s.p->>'reason', reason),
      provider_id = coalesce(s.provider_id, t.provider_id), settled_at = stamp, claim = CASE WHEN delivered IS NULL THEN claim END
    FROM s WHERE t.id = s.id),
  held AS MATERIALIZED (
    SELECT s.n, s.id, s.flags, s.actor, e.account, e.amount, (s.spend->>e.unit)::bigint AS spent
    FROM s CROSS JOIN LATERAL (
      SELECT h.account, h.amount, (SELECT a.kind FROM accounts a WHERE a.id = h.account) AS unit,
        (SELECT true FROM ledger_entries o WHERE o.attempt = s.id AND o.account = h.account AND (o.kind = 'hold') = false) AS ended
      FROM ledger_entries h WHERE h.attempt = s.id AND h.kind = 'hold' OFFSET 0) e
    WHERE s.spend ? e.unit AND e.ended IS NULL),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at)
    SELECT id, account, CASE WHEN spent IS NULL THEN 'void' ELSE 'post' END, coalesce(spent, amount), flags, actor, stamp
    FROM held),
  settled AS (
    UPDATE ai_cost_predictions q SET actual_cost_usd = coalesce(actual_cost_usd, 0) + s.actual,
      actual_tokens = tokens, prediction_accuracy = CASE WHEN quoted > 0
        THEN greatest(0, 1 - abs(tokens - quoted) / quoted::float8) ELSE (tokens = 0 AND quoted = 0)::int END
    FROM s WHERE q.request_id = s.request),
  ended AS (
    UPDATE requests r SET state = 'posted', answer = coalesce(s.answer, r.answer)
    FROM s WHERE r.request_id = s.request AND delivered IS NOT NULL)
  SELECT array_agg(CASE WHEN s.n IS NULL THEN '{"error": "NX001"}'
    ELSE jsonb_build_object('alerts', EXISTS (SELECT 1 FROM alerts), 'accounts', coalesce((
        SELECT jsonb_agg(jsonb_build_array(account, 0, amount, coalesce(spent, 0))) FROM held WHERE held.n = s.n), '[]'),
      'usage', s.p->'usage' || jsonb_build_object('created_at', stamp))
      || CASE WHEN s.p ? 'lesson' THEN jsonb_build_object('lesson', s.p->'lesson') ELSE '{}' END END ORDER BY x.n) INTO told
  FROM generate_subscripts(ps, 1) AS x(n) LEFT JOIN s USING (n);
  FOR i IN 1 .. array_length(ps, 1) LOOP
    IF ps[i] ? 'cached' AND NOT told[i] ? 'error' THEN
      kept := keep_answer(ps[i], stamp);
    END IF;
  END LOOP;
  RETURN told;
END $$;

-- What each step is told, and what is left to do for `finish`; `error` where it is no plain case.
CREATE OR REPLACE FUNCTION make_steps(ps jsonb[]) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  stamp text;
  kinds text[];
  places int[];
  made jsonb[];
  told jsonb[] := array_fill(NULL::jsonb, ARRAY[array_length(ps, 1)]);
  first text := ps[1]->>'step';
BEGIN
  IF array_length(ps, 1) = 1 THEN
    IF first = 'hold' THEN
      RETURN make_holds(ps, time_of_steps(ps[1]->>'now'));
    ELSIF first = 'post' AND ps[1]->'n' = '1' THEN
      RETURN make_posts(ps, time_of_steps(ps[1]->>'now'));
    END IF;
  END IF;
  SELECT time_of_steps(max(p->>'now')), array_agg(CASE WHEN p->>'step' = 'hold' THEN 'hold'
    WHEN p->>'step' = 'post' AND p->'n' = '1' THEN 'post' ELSE '' END ORDER BY n) INTO stamp, kinds
  FROM unnest(ps) WITH ORDINALITY AS x(p, n);
  FOR i IN 1 .. array_length(ps, 1) LOOP
    IF kinds[i] = '' THEN
      BEGIN
        told[i] := made_by(ps[i]);
      EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE LIKE '40%' OR SQLSTATE LIKE '5%' THEN -- then nothing of the group is made
          RAISE;
        END IF;
        told[i] := jsonb_build_object('error', CASE WHEN SQLSTATE LIKE 'NX%' THEN SQLSTATE ELSE 'NX001' END);
      END;
    END IF;
  END LOOP;
  places := array_positions(kinds, 'hold');
  IF places <> '{}' THEN
    made := make_holds(ARRAY(SELECT ps[i] FROM unnest(places) AS x(i)), stamp);
    FOR i IN 1 .. array_length(places, 1) LOOP
      told[places[i]] := made[i];
    END LOOP;
  END IF;
  places := array_positions(kinds, 'post');
  IF places <> '{}' THEN
    made := make_posts(ARRAY(SELECT ps[i] FROM unnest(places) AS x(i)), stamp);
    FOR i IN 1 .. array_length(places, 1) LOOP
      told[places[i]] := made[i];
    END LOOP;
  END IF;
  RETURN told;
END $$;

-- Fold answers into what was learned of all users' answers, or let them wait: nobody stands in line to teach. Who has the lock
-- folds what waits as well; each row is written once. A level's sums fade by `keep` with each answer and grow, its edge moves
-- within its bounds.
CREATE OR REPLACE FUNCTION learn(lessons_now jsonb) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE c record; s float8[]; features text[]; whose text[]; models text[]; states text[]; n int := 0;
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
    SELECT feature, who, model, v, keep, low, high, edge, move, (SELECT state FROM output_lengths o
      WHERE o.feature = f.feature AND o.user_id = f.who AND o.model = f.model) AS state
    FROM (
      SELECT r.feature, y.s->>0 AS who, y.s->>1 AS model, x.n, r.keep, r.low, r.high, r.edge, r.step AS move,
        translate(r.seen, '[]', '{}')::float8[] AS v
      FROM jsonb_array_elements(lessons_now) WITH ORDINALITY AS x(l, n), jsonb_to_record(l) AS r(feature text, keep float8,
        low float8, high float8, edge float8, step float8, seen text, scopes jsonb), jsonb_array_elements(r.scopes) AS y(s)) f
    ORDER BY feature, who, model, f.n
  LOOP
    IF n = 0 OR features[n] <> c.feature OR whose[n] <> c.who OR models[n] <> c.model THEN
      IF n > 0 THEN
        states[n] := '[' || array_to_string(s, ', ') || ']';
      END IF;
      n := n + 1;
      features[n] := c.feature;
      whose[n] := c.who;
      models[n] := c.model;
      s := translate(coalesce(c.state, '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]'), '[]', '{}')::float8[];
    END IF;
    s := ARRAY[s[1] * c.keep + c.v[1], s[2] * c.keep + c.v[2], s[3] * c.keep + c.v[3], s[4] * c.keep + c.v[4],
      s[5] * c.keep + c.v[5], s[6] * c.keep + c.v[6], s[7] * c.keep + c.v[7], s[8] * c.keep + c.v[8], s[9] * c.keep + c.v[9],
      s[10] * c.keep + c.v[10], least(greatest(coalesce(s[11], c.edge) + c.move, c.low), c.high)];
  END LOOP;
  IF n > 0 THEN
    states[n] := '[' || array_to_string(s, ', ') || ']';
    INSERT INTO output_lengths SELECT * FROM unnest(features, whose, models, states)
      ON CONFLICT (feature, user_id, model) DO UPDATE SET state = excluded.state;
  END IF;
  IF lessons_now @? '$[*].thinking' THEN
    INSERT INTO thinking AS t SELECT l->>'model', count(*), avg((l->>'thinking')::float8), max((l->>'thinking')::float8)
      FROM jsonb_array_elements(lessons_now) AS x(l) WHERE l ? 'thinking' GROUP BY 1
      ON CONFLICT (model) DO UPDATE SET mean = t.mean + (excluded.mean - t.mean) * excluded.n / (t.n + excluded.n),
        most = greatest(t.most, excluded.most), n = t.n + excluded.n;
  END IF;
  IF lessons_now @? '$[*].ratio' THEN
    INSERT INTO input_factors AS t SELECT l->>'model', count(*), avg((l->>'ratio')::float8), max((l->>'ratio')::float8)
      FROM jsonb_array_elements(lessons_now) AS x(l) WHERE l ? 'ratio' GROUP BY 1
      ON CONFLICT (model) DO UPDATE SET mean = t.mean + (excluded.mean - t.mean) * excluded.n / (t.n + excluded.n),
        most = greatest(t.most, excluded.most), n = t.n + excluded.n;
  END IF;
END $$;

-- What rows of usage add to the sums, and which finished hours they change, in one look at them: sums of a user's day last, for
-- they are the first rows that posts of one user wait for each other at.
CREATE OR REPLACE FUNCTION usage_entered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
DECLARE finished text := (SELECT max(hour) FROM fold_marks WHERE is_end = 1);
BEGIN
  WITH rows AS MATERIALIZED (
    SELECT user_id, left(created_at, 10) AS day, model_used, feature, (NOT EXISTS (
        SELECT 1 FROM ai_model_usage u WHERE u.request_id = added.request_id AND u.id < added.id))::int AS is_first,
      (outcome = 'posted')::int AS is_call, (outcome = 'hit')::int AS is_hit, (outcome = 'failed')::int AS is_failure,
      input_tokens, output_tokens, cost_usd, energy, baseline_usd, avoided_usd, compression_saved_usd, tokens_saved FROM added),
  by_model AS (
    INSERT INTO usage_by_model_day AS t
    SELECT day, model_used, feature, pg_backend_pid() % 16, sum(is_first), sum(is_call), sum(is_hit), sum(is_failure),
      sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(energy), sum(baseline_usd), sum(avoided_usd),
      sum(compression_saved_usd), sum(tokens_saved)
    FROM rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (day, model, feature, slice) DO UPDATE SET
      requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
      failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
      output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
      energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
      avoided_usd = t.avoided_usd + excluded.avoided_usd,
      compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
      tokens_saved = t.tokens_saved + excluded.tokens_saved RETURNING 1)
  INSERT INTO usage_by_user_day AS t
  SELECT user_id, day, sum(is_first), sum(is_call), sum(is_hit), sum(is_failure), sum(input_tokens), sum(output_tokens),
    sum(cost_usd), sum(energy), sum(baseline_usd), sum(avoided_usd), sum(compression_saved_usd), sum(tokens_saved)
  FROM rows, (SELECT count(*) FROM by_model) AS before GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (user_id, day) DO UPDATE SET
    requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
    failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
    energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
    avoided_usd = t.avoided_usd + excluded.avoided_usd,
    compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
    tokens_saved = t.tokens_saved + excluded.tokens_saved;
  IF finished IS NOT NULL THEN
    PERFORM hour_changes(min(created_at)) FROM added WHERE substr(created_at, 1, 16) < finished GROUP BY substr(created_at, 1, 13);
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER usage_entered_changes_an_hour ON ai_model_usage;

-- Accounts: a subject's own by their numbers; those that many draw on after them, one by one, the installation's last.
CREATE OR REPLACE FUNCTION change_accounts(items jsonb, refused text) RETURNS void LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE c record; missing bigint;
BEGIN
  WITH sums AS MATERIALIZED (
    SELECT (i->>0)::bigint AS id, sum((i->>1)::bigint)::bigint AS more, sum((i->>2)::bigint)::bigint AS less,
      sum((i->>3)::bigint)::bigint AS spent FROM jsonb_array_elements(items) AS x(i) GROUP BY 1 ORDER BY 1),
  own AS (
    UPDATE accounts a SET held = held + more - less, spent = a.spent + s.spent FROM sums s
    WHERE a.id = s.id AND substr(a.owner, 1, 1) <> '*'
      AND (more = 0 OR granted IS NULL OR granted - base - held - a.spent >= more) RETURNING a.id)
  SELECT (SELECT count(*) FROM sums) - (SELECT count(*) FROM own) INTO missing;
  IF missing = 0 THEN
    RETURN;
  END IF;
  FOR c IN SELECT a.id, sum((x.i->>1)::bigint)::bigint AS more, sum((x.i->>2)::bigint)::bigint AS less,
      sum((x.i->>3)::bigint)::bigint AS spent
      FROM jsonb_array_elements(items) AS x(i) JOIN accounts a ON a.id = (x.i->>0)::bigint
      WHERE substr(a.owner, 1, 1) = '*' GROUP BY a.id ORDER BY a.owner = '*', a.id LOOP
    UPDATE accounts SET held = held + c.more - c.less, spent = accounts.spent + c.spent WHERE id = c.id
      AND (c.more = 0 OR granted IS NULL OR granted - base - held - accounts.spent >= c.more);
    IF FOUND THEN
      missing := missing - 1;
    END IF;
  END LOOP;
  IF missing > 0 THEN
    RAISE 'it is not covered' USING ERRCODE = refused;
  END IF;
END $$;

-- What steps have left to do, once for all of them; see 0007. `learned`: what their users' profiles come to. Returns by what those
-- are known now. Raises NX005 where somebody has changed one meanwhile.
CREATE OR REPLACE FUNCTION finish(made jsonb[], refused text, learned jsonb) RETURNS jsonb LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE rows jsonb; lessons_now jsonb; items jsonb; seen jsonb := '{}'; done text;
BEGIN
  IF array_length(made, 1) = 1 THEN
    rows := '[]'::jsonb || (made[1]->'usage');
    lessons_now := '[]'::jsonb || (made[1]->'lesson');
    items := made[1]->'accounts';
  ELSE
    SELECT jsonb_agg(m->'usage') FILTER (WHERE m ? 'usage'), jsonb_agg(m->'lesson') FILTER (WHERE m ? 'lesson'),
      (SELECT jsonb_agg(i) FROM unnest(made) AS y(o), jsonb_array_elements(o->'accounts') AS z(i))
      INTO rows, lessons_now, items FROM unnest(made) AS x(m);
  END IF;
  IF lessons_now IS NOT NULL THEN
    done := learn(lessons_now);
  END IF;
  IF rows IS NOT NULL THEN
    done := enter_usage(rows);
  END IF;
  IF learned <> '[]' THEN
    seen := profiles_learned(learned);
    FOR i IN 0 .. jsonb_array_length(learned) - 1 LOOP
      IF NOT seen ? (learned->i->>'user') THEN
        RAISE 'somebody was faster' USING ERRCODE = 'NX005';
      END IF;
    END LOOP;
  END IF;
  IF items <> '[]' THEN
    done := change_accounts(items, refused);
  END IF;
  RETURN seen;
END $$;

-- One step. `stale`: nothing was made, for the subject's profile has changed since it was seen.
CREATE OR REPLACE FUNCTION step(p jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off AS $$
DECLARE made jsonb; learned jsonb := '[]'; seen jsonb; locked text; name text := p->>'step';
BEGIN
  locked := pg_advisory_xact_lock_shared(1853358082, 0); -- as `take_locks` does for many
  IF name = 'hold' OR name = 'post' AND p->'n' = '1' THEN
    locked := pg_advisory_xact_lock_shared(1853358083, (p->>'lock')::int);
  ELSE
    locked := pg_advisory_xact_lock(1853358083, (p->>'lock')::int);
  END IF;
  IF p ? 'profile' THEN
    learned := jsonb_build_array(jsonb_build_object('user', p->'user', 'profile', p->'profile'));
    IF NOT EXISTS (SELECT 1 FROM user_efficiency_profiles
        WHERE user_id = p->>'user' AND xmin = (p->'profile'->>'seen')::xid) THEN
      RETURN jsonb_build_object('stale', stale_of(learned));
    END IF;
  END IF;
  made := (make_steps(ARRAY[p]))[1];
  IF made ? 'error' THEN
    RAISE 'no plain case' USING ERRCODE = made->>'error';
  END IF;
  seen := finish(ARRAY[made], CASE name WHEN 'hold' THEN 'NX002' ELSE 'NX001' END, learned);
  RETURN made - '{accounts,usage,lesson}'::text[] || jsonb_build_object('seen', seen->(p->>'user'));
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
