"""The journal, the results CSV, the manifest."""
