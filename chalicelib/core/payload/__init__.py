"""Foreign JSON, signatures and addresses."""
