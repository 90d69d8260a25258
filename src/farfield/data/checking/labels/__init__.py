"""What each label of a file is recognised to be: its key, its unit, its sign."""
