"""Who computes units, when and how often: engines, locks, attempts, receipts, logs. No number."""
