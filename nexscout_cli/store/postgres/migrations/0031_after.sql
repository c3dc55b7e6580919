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
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
