"""What every room uses: errors, atomic files, locks, progress, intervals."""
