"""acquisitiond: the one process that talks to the instrument; it publishes what it reads."""
