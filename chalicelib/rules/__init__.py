"""alert-rules.yaml: the file, its check, and the compiled form that workers load."""
