"""Measures spatialnorm against the machine's limits and against other systems: python -m benchmarks."""
