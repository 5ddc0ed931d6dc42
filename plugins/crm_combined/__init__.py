"""The combined payload type: several sections, all applied or none."""
