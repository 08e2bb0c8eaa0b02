"""Adapters for AWS. Those of the ingest path (lean, wire, signer, queue, secrets, bodies) load no packages."""
