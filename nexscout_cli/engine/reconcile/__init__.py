"""The ledger beside a provider's own export: what differs, what explains it, and what it says of unknown attempts."""
