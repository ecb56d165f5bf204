"""Video files: opening, which packet holds which frame, pictures, and reading and writing from start to end."""

# Of files that PyAV reads; the most usual first.
SUFFIXES = ('.mp4', '.webm', '.mkv', '.avi', '.mov', '.m4v', '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp', '.ogv',
            '.gif', '.mts', '.m2ts', '.vob', '.h264', '.264', '.hevc', '.h265', '.265', '.m2v', '.mpe', '.mxf', '.asf',
            '.3g2', '.f4v', '.ivf', '.divx', '.ogm')
