"""The stand-in for Slack: its Web API, its incoming webhooks, and what people do in it."""
