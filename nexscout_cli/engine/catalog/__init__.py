"""Rules of the model catalog and of the installation: prices, endpoints, surge, recovery."""
