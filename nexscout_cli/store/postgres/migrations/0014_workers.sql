-- Programs that hold attempts tell now and then that they live: whether one on another machine does can't be seen otherwise.

CREATE TABLE workers (owner text COLLATE "C" PRIMARY KEY, seen_at text COLLATE "C" NOT NULL) WITH (fillfactor = 50);
ALTER TABLE workers ENABLE ROW LEVEL SECURITY;
ALTER TABLE workers FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON workers TO nexscout_service USING (true);

-- A sign of life; `stamp` null: the server's time. Those of the day before yesterday go.
CREATE FUNCTION beat(the_owner text, stamp text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$
DECLARE at text := coalesce(stamp, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
BEGIN
  DELETE FROM workers WHERE seen_at < stamp_after(at, '-2 days') AND owner <> the_owner;
  INSERT INTO workers VALUES (the_owner, at) ON CONFLICT (owner) DO UPDATE SET seen_at = greatest(workers.seen_at, at);
END $$;

-- Whether a worker that cannot be seen lives, as of `now`: it told so within `silence`, or began what it owns (`since`) within
-- it. Of a server that is up for less nobody can have told it.
CREATE FUNCTION lives(the_owner text, since text, now text, silence interval) RETURNS boolean LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE oldest text := stamp_after(now, -silence);
BEGIN
  RETURN since >= oldest OR EXISTS (SELECT 1 FROM workers WHERE owner = the_owner AND seen_at >= oldest)
    OR pg_postmaster_start_time() > clock_timestamp() - silence;
END $$;

REVOKE ALL ON workers FROM PUBLIC;
REVOKE ALL ON FUNCTION beat, lives FROM PUBLIC;
GRANT SELECT ON workers TO nexscout_service;
GRANT EXECUTE ON FUNCTION beat, lives TO nexscout_service;
