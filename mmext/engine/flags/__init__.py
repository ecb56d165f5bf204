"""The flags of the commands. Each is defined in one place: parser entry, check, effect, and entry in the docs."""
