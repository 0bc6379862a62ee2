"""How a model is trained and run; skorch lives here."""
