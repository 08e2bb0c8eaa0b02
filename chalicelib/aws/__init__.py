"""Adapters for AWS. `signer`, `lean`, `queue` and `secrets` load only the standard library: the ingest path uses them."""
