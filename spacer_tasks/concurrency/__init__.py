"""Cores, threads, and stopping what runs."""
