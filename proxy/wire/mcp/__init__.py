"""The Model Context Protocol: messages read strictly, answers written, requests told from others."""
