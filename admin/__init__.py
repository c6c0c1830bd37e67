"""What runs on the administrator's machine: the `backups` command. Never ships."""
