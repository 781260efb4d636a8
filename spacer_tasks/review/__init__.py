"""Points that a machine is unsure of: left to people, shown to them, and their answers taken in."""
