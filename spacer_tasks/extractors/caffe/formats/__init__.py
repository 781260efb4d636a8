"""Caffe's file formats: a net's definition, which is a text, and its weights, which are binary."""
