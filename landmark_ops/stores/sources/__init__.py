"""Sources as rows: one class per format, opened by what an address holds."""
