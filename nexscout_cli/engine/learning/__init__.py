"""What settled requests teach of their users."""
