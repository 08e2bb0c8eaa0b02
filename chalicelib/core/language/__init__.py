"""The rule language: conditions, templates, durations, cron."""
