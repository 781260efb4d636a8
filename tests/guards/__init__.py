"""Each guard of docs/security.md taken out in turn, to see that a test fails: `make guards`."""
