"""notification → target: claim, render, send, record."""
