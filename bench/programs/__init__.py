"""Applications that the bench boots in both guests; each prints one JSON line and ends."""
