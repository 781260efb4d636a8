"""Stands where the reference imports torchvision; see drive.py."""

transforms = None
