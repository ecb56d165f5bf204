"""Video files: opening, which packet holds which frame, pictures, and reading and writing from start to end."""

SUFFIXES = ('.mp4', '.webm', '.mkv', '.avi', '.mov', '.m4v', '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp')
