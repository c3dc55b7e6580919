-- Who waits on another machine for the answer to a request for the same hears of its end. A message is sent only where somebody
-- waits: whoever does holds a lock on the claim together with others, so that it can't be had alone. Who begins to wait while
-- the end is being written waits for that first.
CREATE FUNCTION claim_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$ BEGIN
  IF NOT pg_try_advisory_xact_lock(1853358085, hashtext(old.claim)) THEN
    PERFORM pg_notify('nexscout_ended', hashtext(old.claim)::text);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER claim_ended AFTER UPDATE OF claim ON attempts FOR EACH ROW
WHEN (old.claim IS NOT NULL AND new.claim IS DISTINCT FROM old.claim AND old.claim <> old.request_id || '/' || old.n)
EXECUTE FUNCTION claim_ended();
REVOKE ALL ON FUNCTION claim_ended() FROM PUBLIC;
