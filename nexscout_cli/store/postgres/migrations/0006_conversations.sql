-- Conversations that users keep.

CREATE TABLE conversations (
  id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL REFERENCES users,
  feature text COLLATE "C" NOT NULL,
  options text COLLATE "C" NOT NULL DEFAULT '{}',
  created_at text COLLATE "C" NOT NULL,
  used_at text COLLATE "C" NOT NULL
);
CREATE INDEX conversations_by_use ON conversations (user_id, used_at);
CREATE TABLE conversation_turns (
  conversation text COLLATE "C" NOT NULL REFERENCES conversations,
  n bigint NOT NULL CHECK (n > 0),
  request_id text COLLATE "C" NOT NULL,
  messages text COLLATE "C" NOT NULL,
  created_at text COLLATE "C" NOT NULL,
  PRIMARY KEY (conversation, n)
);
REVOKE ALL ON conversations, conversation_turns FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON conversations, conversation_turns TO nexscout_service;
GRANT SELECT ON conversations, conversation_turns TO nexscout_member;
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE conversation_turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_turns FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON conversations TO nexscout_service USING (true);
CREATE POLICY service ON conversation_turns TO nexscout_service USING (true);
CREATE POLICY own ON conversations FOR SELECT TO nexscout_member USING (user_id = (SELECT me()));
CREATE POLICY own ON conversation_turns FOR SELECT TO nexscout_member
  USING (EXISTS (SELECT 1 FROM conversations c WHERE c.id = conversation AND c.user_id = (SELECT me())));
