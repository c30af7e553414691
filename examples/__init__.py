"""Programs that use Ainur as anybody could: a job to run, and a peer that cheats."""
