"""Address management: which subnet a network gets, which address an endpoint gets. Pure: no I/O, no clock."""
