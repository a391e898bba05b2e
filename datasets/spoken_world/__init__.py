"""One world of speech with known factors, and plans that say how they hang together."""
