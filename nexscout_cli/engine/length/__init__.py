"""How long an answer will be."""
