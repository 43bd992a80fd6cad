"""What a data set holds: checks, reports, contact sheets."""
