"""Model families: a frame that architectures are built in, with its space, presets, builder and head."""
