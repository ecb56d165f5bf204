"""What models and logs say: parameters, FLOPs."""
