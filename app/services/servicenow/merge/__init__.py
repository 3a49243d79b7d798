"""Links between tickets and incidents, and their three-way merge."""
