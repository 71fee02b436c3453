"""Which switches are closed: topologies by branch and bound on a relaxation, and by exchanges on AC."""
