"""Remote models through LiteLLM."""
