-- What was audited is found without reading all usage.
CREATE INDEX usage_audited ON ai_model_usage (created_at) WHERE routing_reason = 'audit';
