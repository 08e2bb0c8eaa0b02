"""The `tocsin` command: every file with `add_arguments` and `run` is a command, called by the name of the file."""
