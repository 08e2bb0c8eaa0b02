"""Prometheus and Grafana beside a stage: README.md says how to start them. `dashboards.py` makes the dashboards."""
