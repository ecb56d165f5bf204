"""The flags of the commands, each in one place: parser entry, check, effect, line in the docs."""
