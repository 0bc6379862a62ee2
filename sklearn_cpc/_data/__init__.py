"""From whatever a user passes to sources of batches."""
