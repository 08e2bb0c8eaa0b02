"""What puts a stage on AWS, or on the embedded AWS: checks, what Chalice does not create, Chalice itself, a smoke test."""
