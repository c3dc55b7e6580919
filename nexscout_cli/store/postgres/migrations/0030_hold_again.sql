-- A request's later attempts are held by a step as well: another model after a failure, a stronger one after a cheap one. How, is
-- in 0031.

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
