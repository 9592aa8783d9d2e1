"""The config of a run: its sections, their schema, and the one YAML loader."""
