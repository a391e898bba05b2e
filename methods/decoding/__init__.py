"""Decoding: rules that contrast, complement, calibrate, rank or constrain what a language model says."""
