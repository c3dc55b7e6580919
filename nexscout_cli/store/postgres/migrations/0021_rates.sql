-- Requests of keys in the last minute, counted among the servers of all machines. A crash of the database forgets them.
CREATE UNLOGGED TABLE key_requests (key text COLLATE "C" NOT NULL, at timestamptz NOT NULL);
CREATE INDEX key_requests_by_key ON key_requests (key, at);
ALTER TABLE key_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON key_requests TO nexscout_service USING (true);

-- Counts a request of a key that may send `most` a minute; the seconds to wait where it has had them.
CREATE FUNCTION take_request(the_key text, most integer) RETURNS double precision LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
DECLARE moment timestamptz; oldest timestamptz;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nexscout key ' || the_key, 0));
  moment := clock_timestamp();
  DELETE FROM key_requests WHERE key = the_key AND at <= moment - interval '1 minute';
  SELECT at INTO oldest FROM key_requests WHERE key = the_key ORDER BY at DESC OFFSET most - 1 LIMIT 1;
  IF FOUND THEN
    RETURN 60 - extract(epoch FROM moment - oldest);
  END IF;
  INSERT INTO key_requests VALUES (the_key, moment);
  RETURN NULL;
END $$;

REVOKE ALL ON key_requests FROM PUBLIC;
REVOKE ALL ON FUNCTION take_request FROM PUBLIC;
GRANT SELECT ON key_requests TO nexscout_service;
GRANT EXECUTE ON FUNCTION take_request TO nexscout_service;
