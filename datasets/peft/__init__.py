"""Classified texts for low-resource tuning: released layouts, files of one's own, and generated stand-ins."""
