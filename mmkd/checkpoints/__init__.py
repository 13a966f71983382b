"""Checkpoints: read without running code, loaded with a report, written whole."""
