"""How fast a config's model is: latency, throughput, memory, training step and data, several models side by side."""
