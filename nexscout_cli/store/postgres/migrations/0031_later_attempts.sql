-- A request's later attempts are held by a step as well: another model after a failure, a stronger one after a cheap one.
--
-- A hold that was given up for lost, and taken once more, may reach the server late: even after the attempt that was held instead has
-- ended. So each hold says after which attempt of its request it comes, and none is made of one that comes after another.

-- T1 of an attempt that is not a request's first: accounts checked, the claim taken over, attempt and entries entered. What it is
-- told, with its number and the energy that the first one holds. NX001 where there is no such request, the last attempt lives or is
-- not the one that the program knows of, or it is no plain case.
CREATE OR REPLACE FUNCTION hold_again(p jsonb, stamp text) RETURNS jsonb LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  r requests;
  u users;
  last attempts;
  made bigint;
  b record;
  items jsonb := '[]';
  energy bigint;
BEGIN
  SELECT * INTO r FROM requests WHERE request_id = p->>'request' AND user_id = p->>'user' AND state IN ('open', 'unknown');
  IF NOT FOUND OR r.key IS DISTINCT FROM p->>'key' THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  u := subject_of(p, stamp);
  SELECT * INTO last FROM attempts WHERE request_id = r.request_id ORDER BY n DESC LIMIT 1;
  IF NOT FOUND OR u.reads_only <> 0 OR last.state IN ('held', 'sent', 'submitted')
    OR last.id IS DISTINCT FROM (p->>'after')::bigint THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  IF (SELECT value FROM meta WHERE key = 'world_version') <> p->>'version' THEN
    RAISE 'the world has moved' USING ERRCODE = 'NX002';
  END IF;
  FOR b IN
    SELECT a.id, a.granted, w.cap, w.amount, w.entered FROM (
      SELECT owner, unit, cap, amount, entered, CASE "window" WHEN 'day' THEN left(stamp, 10) WHEN 'month' THEN left(stamp, 7)
        WHEN 'week' THEN to_char(left(stamp, 10)::date, 'IYYY-"W"IW') ELSE "window" END AS period
      FROM jsonb_to_recordset(p->'budgets') AS y(owner text, unit text, "window" text, cap bigint, amount bigint, entered boolean)
      WHERE unit <> 'energy') w
    LEFT JOIN accounts a ON a.owner = w.owner AND a.kind = w.unit AND a.period = w.period
  LOOP
    IF b.id IS NULL AND b.entered OR b.id IS NOT NULL AND b.granted IS DISTINCT FROM b.cap THEN
      RAISE 'no plain case' USING ERRCODE = 'NX001'; -- to be opened, or its cap is another one
    END IF;
    IF b.entered THEN
      items := items || jsonb_build_array(jsonb_build_array(b.id, b.amount, 0, 0));
    END IF;
  END LOOP;
  UPDATE requests SET state = 'open' WHERE request_id = r.request_id AND state <> 'open';
  UPDATE attempts SET claim = CASE state WHEN 'unknown' THEN request_id || '/' || n END
    WHERE request_id = r.request_id AND claim IS NOT NULL;
  made := enter_attempt(p || jsonb_build_object('request_id', r.request_id, 'n', last.n + 1, 'created_at', stamp,
    'deadline', stamp_after(stamp, make_interval(secs => (p->>'seconds')::float8)), 'deployment', NULL,
    'claim', coalesce(nullif(last.claim, r.request_id || '/' || last.n), r.request_id || '/' || last.n + 1)));
  IF made IS NULL THEN
    RAISE 'another request is open' USING ERRCODE = 'NX003';
  END IF;
  INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at, of_request)
  SELECT made, (i->>0)::bigint, 'hold', (i->>1)::bigint, p->>'actor', stamp, r.request_id FROM jsonb_array_elements(items) AS x(i);
  SELECT e.amount INTO energy FROM attempts t
    JOIN ledger_entries e ON e.attempt = t.id AND e.of_request = t.request_id AND e.kind = 'hold'
    JOIN accounts a ON a.id = e.account AND a.kind = 'energy' WHERE t.request_id = r.request_id AND t.n = 1;
  RETURN jsonb_build_object('id', made, 'n', last.n + 1, 'energy', coalesce(energy, 0),
    'profile', profile_of(p->>'user', p->>'known'), 'accounts', items);
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
      stamp := time_of_steps(ps[1]->>'now');
      made := make_holds(ps, stamp);
      RETURN CASE WHEN made[1]->>'error' = 'NX001' THEN ARRAY[hold_again(ps[1], stamp)] ELSE made END;
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
        IF SQLSTATE SIMILAR TO '(25|40|42|5_)%' THEN -- the database takes nothing now: then nothing of the group is made
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
      IF made[i]->>'error' = 'NX001' AND EXISTS (SELECT 1 FROM requests WHERE request_id = ps[places[i]]->>'request') THEN
        BEGIN
          told[places[i]] := hold_again(ps[places[i]], stamp);
        EXCEPTION WHEN SQLSTATE 'NX001' OR SQLSTATE 'NX002' OR SQLSTATE 'NX003' THEN
          told[places[i]] := jsonb_build_object('error', SQLSTATE);
        END;
      END IF;
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
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
