"""The test guest: a small Linux with the NUMA nodes a test needs, on an emulated machine."""
