"""What Prometheus scrapes of a stage: `wiring` builds the door, `scrape` reads the stage, `families` gives it names."""
