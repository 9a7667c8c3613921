"""Settings of other gateways, read as settings of this one."""
