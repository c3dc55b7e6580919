"""What a call will cost, and whether it may be made: shape, forecast, firewall, plan."""
