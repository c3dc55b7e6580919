-- Limits that admins write: environment and files can only lower them.

CREATE TABLE limits (
  name text COLLATE "C" PRIMARY KEY,
  value text COLLATE "C" NOT NULL,
  set_by text COLLATE "C" NOT NULL,
  set_at text COLLATE "C" NOT NULL
);
REVOKE ALL ON limits FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON limits TO nexscout_service;
GRANT SELECT ON limits TO nexscout_member;
ALTER TABLE limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE limits FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON limits TO nexscout_service USING (true);
CREATE POLICY everyone ON limits FOR SELECT TO nexscout_member USING (true);
