"""Which model gets a request, and why."""
