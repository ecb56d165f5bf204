"""Training that goes on from any iteration, bit for bit as if it had not been interrupted."""
