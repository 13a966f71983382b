"""letKD's codebooks: how ``tools/build_codebook.py`` makes them, and their files."""
