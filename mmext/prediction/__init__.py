"""Predictions on a user's files: pictures, videos and JSON."""
