"""What a run is told: the sections of its config, their schema, and the one YAML loader."""
