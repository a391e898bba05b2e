"""SupReMix and what it is compared with."""
