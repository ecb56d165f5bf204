"""Preparation of a video data set before training: checking, list files, smaller copies and extracted frames."""
