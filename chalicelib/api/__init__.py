"""What people use over HTTP: the API."""
