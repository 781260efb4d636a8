"""Nets in Caffe's file formats, read without Caffe and run in torch.

`net.load_net` takes a definition (`.prototxt`) and a weights file (`.caffemodel`), in the current
format or the one before it (V1), and gives a torch module. What it computes is what Caffe's own
layers compute in the phase TEST; what it cannot compute so is refused, by the layer's name.
"""
