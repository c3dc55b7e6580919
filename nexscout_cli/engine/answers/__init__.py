"""What came back: what it cost, and whether it can be trusted."""
