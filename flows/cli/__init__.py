"""The command line: commands, their edges, and how runs are launched."""
