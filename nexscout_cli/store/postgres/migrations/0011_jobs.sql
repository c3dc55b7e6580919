-- Jobs that providers do in their own time. What such a job owns is submitted: the job decides of it, age does not.

ALTER TABLE attempts DROP CONSTRAINT attempts_state_check;
ALTER TABLE attempts ADD CONSTRAINT attempts_state_check
  CHECK (state IN ('held', 'sent', 'submitted', 'posted', 'unknown', 'voided'));
CREATE OR REPLACE FUNCTION attempts_move_forward() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN
  IF NOT (new.state = old.state AND old.state <> 'posted'
      OR old.state = 'held' AND new.state IN ('sent', 'submitted', 'voided')
      OR old.state IN ('sent', 'submitted') AND new.state IN ('posted', 'unknown', 'voided')
      OR old.state = 'unknown' AND new.state IN ('posted', 'voided')) THEN
    RAISE EXCEPTION 'an attempt cannot change that way' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;

CREATE TABLE jobs (
  id text COLLATE "C" PRIMARY KEY,
  actor text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  out text COLLATE "C",
  state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'cancelling', 'ended')),
  created_at text COLLATE "C" NOT NULL,
  ended_at text COLLATE "C"
);
CREATE INDEX jobs_by_time ON jobs (created_at);
CREATE TABLE job_parts (
  id text COLLATE "C" PRIMARY KEY,
  job text COLLATE "C" NOT NULL REFERENCES jobs,
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('new', 'uploading', 'creating', 'sent', 'ended')),
  file_id text COLLATE "C",
  remote_id text COLLATE "C",
  remote_state text COLLATE "C",
  begun_at text COLLATE "C",
  misses bigint NOT NULL DEFAULT 0 CHECK (misses >= 0),
  note text COLLATE "C",
  owner text COLLATE "C",
  until text COLLATE "C",
  created_at text COLLATE "C" NOT NULL,
  ended_at text COLLATE "C"
);
CREATE INDEX job_parts_by_job ON job_parts (job);
CREATE TABLE job_rows (
  job text COLLATE "C" NOT NULL REFERENCES jobs,
  n bigint NOT NULL CHECK (n >= 0),
  row_id text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'held', 'sent', 'back', 'ended')),
  same_as bigint,
  request_id text COLLATE "C",
  part text COLLATE "C",
  request text COLLATE "C",
  kept text COLLATE "C",
  body text COLLATE "C",
  answer text COLLATE "C",
  PRIMARY KEY (job, n)
);
CREATE INDEX job_rows_by_part ON job_rows (part) WHERE part IS NOT NULL;
CREATE INDEX job_rows_by_user ON job_rows (user_id);
REVOKE ALL ON jobs, job_parts, job_rows FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs, job_parts, job_rows TO nexscout_service;
GRANT SELECT ON job_rows TO nexscout_member;
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE job_parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_parts FORCE ROW LEVEL SECURITY;
ALTER TABLE job_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_rows FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON jobs TO nexscout_service USING (true);
CREATE POLICY service ON job_parts TO nexscout_service USING (true);
CREATE POLICY service ON job_rows TO nexscout_service USING (true);
CREATE POLICY own ON job_rows FOR SELECT TO nexscout_member USING (user_id = (SELECT me()));
