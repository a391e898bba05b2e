"""Decoding rules that contrast, complement, calibrate, rank or constrain."""
