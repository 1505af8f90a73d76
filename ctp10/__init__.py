"""What people outside type and import: the wire contract and the command line."""
