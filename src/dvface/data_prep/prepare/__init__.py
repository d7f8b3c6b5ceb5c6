"""From raw footage to shards of aligned face clips."""
