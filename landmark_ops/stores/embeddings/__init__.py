"""An embedding as it is stored: its group, its chunks on record, its metadata, and whether it is whole."""
