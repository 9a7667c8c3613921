"""The parts of `build_pretrained.py`: outcomes of many models on many sets → shipped artifacts."""
