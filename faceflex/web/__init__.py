"""Local pages: servers on this machine, for this machine."""
