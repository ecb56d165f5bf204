"""Resuming of a training at any iteration, with bit-identical results to an uninterrupted run."""
