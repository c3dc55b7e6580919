"""Sending less of a prompt, where that is safe."""
