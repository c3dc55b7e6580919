-- How often each latency and error occurs, in one value for each hour or day; all is folded anew.

DROP TABLE folded_latency, folded_errors;
CREATE TABLE folded_latency (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  counts text COLLATE "C" NOT NULL CHECK (CAST(counts AS json) IS NOT NULL),
  PRIMARY KEY (owner, hours, period, model)
);
CREATE TABLE folded_errors (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  of_what text COLLATE "C" NOT NULL,
  counts text COLLATE "C" NOT NULL CHECK (CAST(counts AS json) IS NOT NULL),
  PRIMARY KEY (owner, hours, period, feature, model, of_what)
);
REVOKE ALL ON folded_latency, folded_errors FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON folded_latency, folded_errors TO nexscout_service;
GRANT SELECT ON folded_latency, folded_errors TO nexscout_member;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['folded_latency', 'folded_errors'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', name);
    EXECUTE format('CREATE POLICY own ON %I FOR SELECT TO nexscout_member USING (owner = (SELECT me()))', name);
  END LOOP;
END $$;
TRUNCATE fold_marks, folded_usage, folded_predictions, folded_classes, folded_failures;
