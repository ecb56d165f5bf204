"""File name suffixes of the images and videos that are read, in lower case.

Names in a folder are compared with them in lower case.
"""

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm')
# The files that PyAV reads, the most common suffixes first: of two files that differ only in their suffix, the one
# whose suffix comes first here is taken.
VIDEOS = ('.mp4', '.webm', '.mkv', '.avi', '.mov', '.m4v', '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp', '.ogv',
          '.gif', '.mts', '.m2ts', '.vob', '.h264', '.264', '.hevc', '.h265', '.265', '.m2v', '.mpe', '.mxf', '.asf',
          '.3g2', '.f4v', '.ivf', '.divx', '.ogm')
