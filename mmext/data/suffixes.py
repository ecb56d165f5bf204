"""What the names of image files end with, in small letters or capitals, where a folder is searched for them."""

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm')
