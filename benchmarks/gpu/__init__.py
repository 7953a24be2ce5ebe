"""Steered sampling on one NVIDIA GPU: `benchmarks/gpu.sh`, see benchmarks/README.md."""
