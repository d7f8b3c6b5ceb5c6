"""Videos in and out: probe, read, decode from memory, write. NumPy only; modules are imported one by one."""
