"""The endpoint that applications call: OpenAI's and Anthropic's protocols over the same engine. Needs the extra ``serve``."""
