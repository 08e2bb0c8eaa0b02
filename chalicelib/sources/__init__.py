"""One file per sender: its name is the name in the address and in alert-rules.yaml. Standard library and core only."""
