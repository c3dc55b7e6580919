-- Months whose rows lie in files. While `is_open`, which no commit leaves, a month's entries may be removed: what each account had
-- spent by them is in `closings`. `hash` is of the rows that went, `closings_hash` of what took their place.
-- The owner alone archives: the application's login can remove nothing.
CREATE TABLE archives (
  month text COLLATE "C" PRIMARY KEY,
  until text COLLATE "C" NOT NULL,
  first_at text COLLATE "C" NOT NULL,
  folder text COLLATE "C" NOT NULL,
  requests bigint NOT NULL CHECK (requests >= 0),
  attempts bigint NOT NULL CHECK (attempts >= 0),
  entries bigint NOT NULL CHECK (entries >= 0),
  usage bigint NOT NULL CHECK (usage >= 0),
  predictions bigint NOT NULL CHECK (predictions >= 0),
  cost_usd bigint NOT NULL CHECK (cost_usd >= 0),
  hash text COLLATE "C" NOT NULL,
  closings_hash text COLLATE "C" NOT NULL,
  is_open smallint NOT NULL CHECK (is_open IN (0, 1)),
  archived_at text COLLATE "C" NOT NULL,
  archived_by text COLLATE "C" NOT NULL
);
CREATE TABLE closings (
  account bigint NOT NULL REFERENCES accounts,
  month text COLLATE "C" NOT NULL REFERENCES archives,
  entries bigint NOT NULL CHECK (entries > 0),
  spent bigint NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (account, month)
);
ALTER TABLE jobs ADD COLUMN archived_usd bigint NOT NULL DEFAULT 0 CHECK (archived_usd >= 0);

DROP TRIGGER entries_stay ON ledger_entries;
CREATE TRIGGER entries_stay BEFORE UPDATE OR TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();
CREATE FUNCTION entries_remain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  IF old.attempt IS NULL OR NOT EXISTS (SELECT 1 FROM archives WHERE is_open = 1 AND old.created_at < until) THEN
    RAISE EXCEPTION 'ledger entries are append-only' USING ERRCODE = 'check_violation';
  END IF;
  RETURN old;
END $$;
CREATE TRIGGER entries_remain BEFORE DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION entries_remain();
CREATE TRIGGER closings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON closings FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();
CREATE FUNCTION archives_stay() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN RAISE EXCEPTION 'archives are append-only' USING ERRCODE = 'check_violation'; END $$;
CREATE TRIGGER archives_stay BEFORE UPDATE ON archives FOR EACH ROW WHEN (old.is_open = 0) EXECUTE FUNCTION archives_stay();
CREATE TRIGGER archives_remain BEFORE DELETE OR TRUNCATE ON archives FOR EACH STATEMENT EXECUTE FUNCTION archives_stay();

-- The sums of what is archived cannot be made again.
CREATE FUNCTION sums_remain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  IF coalesce(to_jsonb(old)->>'period', to_jsonb(old)->>'day') COLLATE "C" < (SELECT max(until) FROM archives) THEN
    RAISE EXCEPTION 'the rows of these sums are archived' USING ERRCODE = 'check_violation';
  END IF;
  RETURN old;
END $$;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['folded_usage', 'folded_latency', 'folded_predictions', 'folded_errors', 'folded_classes',
      'folded_failures', 'usage_by_user_day', 'usage_by_model_day'] LOOP
    EXECUTE format('CREATE TRIGGER sums_remain BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION sums_remain()', name);
  END LOOP;
END $$;

REVOKE ALL ON archives, closings FROM PUBLIC;
REVOKE ALL ON FUNCTION entries_remain(), archives_stay(), sums_remain() FROM PUBLIC;
GRANT SELECT ON archives, closings TO nexscout_service;
GRANT SELECT ON archives, closings TO nexscout_member;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['archives', 'closings'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', name);
  END LOOP;
END $$;
CREATE POLICY everyone ON archives FOR SELECT TO nexscout_member USING (true);
CREATE POLICY own ON closings FOR SELECT TO nexscout_member USING (EXISTS (
  SELECT 1 FROM accounts a WHERE a.id = closings.account AND a.owner = (SELECT me())));
