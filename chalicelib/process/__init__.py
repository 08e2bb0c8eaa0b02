"""webhooks queue → events → alerts → incidents → notifications queue."""
