"""What runs by the clock: the minute tick, probes, reconciliation with the senders' history."""
