"""Hosts, the ways between them, and many workers on one Redis."""
