"""Networks only: nothing here knows a trainer, a configuration or a tracking store."""
