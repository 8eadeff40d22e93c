"""The parts of tools/bench-download and tools/bench-many."""
