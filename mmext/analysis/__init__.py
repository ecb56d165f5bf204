"""What models and logs say: parameters, FLOPs, pictures of blocks, what runs reached."""
