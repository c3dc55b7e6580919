-- How often each latency and error occurs, in one value for each hour or day; all by model and feature; all is folded anew.

DROP TABLE folded_latency, folded_errors, folded_classes, folded_failures;
CREATE TABLE folded_latency (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  counts text COLLATE "C" NOT NULL CHECK (CAST(counts AS json) IS NOT NULL),
  PRIMARY KEY (owner, hours, period, model, feature)
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
CREATE TABLE folded_classes (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  class text COLLATE "C" NOT NULL,
  tokens bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, model, feature, class)
);
CREATE TABLE folded_failures (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  label text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  retries bigint NOT NULL,
  fallbacks bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, model, feature, label)
);
REVOKE ALL ON folded_latency, folded_errors, folded_classes, folded_failures FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON folded_latency, folded_errors, folded_classes, folded_failures TO nexscout_service;
GRANT SELECT ON folded_latency, folded_errors, folded_classes, folded_failures TO nexscout_member;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['folded_latency', 'folded_errors', 'folded_classes', 'folded_failures'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', name);
    EXECUTE format('CREATE POLICY own ON %I FOR SELECT TO nexscout_member USING (owner = (SELECT me()))', name);
  END LOOP;
END $$;
TRUNCATE fold_marks, folded_usage, folded_predictions;
