"""The frozen teacher: how it is held, made cheap, and fed as it was trained."""
