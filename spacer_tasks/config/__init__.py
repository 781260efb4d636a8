"""Settings, where they come from, and which locations they allow."""
