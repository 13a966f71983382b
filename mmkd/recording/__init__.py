"""Recordings: what a teacher said to every view of every image, on disk."""
