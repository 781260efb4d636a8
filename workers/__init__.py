"""The worker processes of a deployment, which take the operator's `celeryconfig.py`."""
