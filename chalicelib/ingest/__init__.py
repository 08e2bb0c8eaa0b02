"""webhook → webhooks queue: verify, store, answer."""
