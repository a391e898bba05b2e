"""Contrastive analysis: SepCLR and what it is compared with."""
