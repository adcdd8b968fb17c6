"""The stages: the glue between the engine, which moves records, and the pure code, which knows what they mean."""
