"""Stands where the reference imports torch; see drive.py."""

from . import nn as nn
