-- Which hours somebody is folding now, and until when they are left to them.
CREATE TABLE folding (
  hour text COLLATE "C" PRIMARY KEY,
  token text COLLATE "C" NOT NULL,
  until text COLLATE "C" NOT NULL
);
REVOKE ALL ON folding FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON folding TO nexscout_service;
GRANT SELECT ON folding TO nexscout_member;
ALTER TABLE folding ENABLE ROW LEVEL SECURITY;
ALTER TABLE folding FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON folding TO nexscout_service USING (true);
CREATE POLICY everyone ON folding FOR SELECT TO nexscout_member USING (true);
