"""checkrein: a proxy that keeps LLM agents inside an autonomy budget."""

__version__ = "0.1.0"
