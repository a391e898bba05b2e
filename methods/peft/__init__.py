"""Parameter-efficient tuning of text encoders with augmentation and a contrastive term: one tuner a file."""
