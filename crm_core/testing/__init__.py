"""For plugin authors: one conformance suite per plugin kind, fakes, fixtures."""
