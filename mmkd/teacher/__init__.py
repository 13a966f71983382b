"""The frozen teacher: how it is held, made cheap, and fed with its own normalisation."""
