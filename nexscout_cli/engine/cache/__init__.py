"""When an earlier answer is the answer."""
