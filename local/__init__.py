"""What runs on one machine in place of the outside: the embedded AWS and the inbox."""
