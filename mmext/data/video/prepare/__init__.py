"""What is done to a video data set before training: check it, list it, make it smaller, take it apart into frames."""
