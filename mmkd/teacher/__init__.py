"""The frozen teacher: held, made cheap, and fed with its own normalisation."""
