"""Benchmarks of the models of configs, side by side: latency, throughput, memory, training step and data loading."""
